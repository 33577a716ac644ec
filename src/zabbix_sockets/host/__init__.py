"""What is installed on this host, and how: Zabbix's programs, their units, users and files."""
