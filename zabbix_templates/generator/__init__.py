"""What makes the templates: one description of metrics, alarms and graphs, for all versions."""
