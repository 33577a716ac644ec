"""Pushing the document to servers and proxies with zabbix_sender, and keeping what they miss."""
