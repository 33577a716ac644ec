"""The verb provision: templates into a Zabbix server through its API, and hosts linked to them.

`options` and `credentials` say what is wanted, `api` alone talks to the server, `templates`
and `inventory` ask it how things are, `plan` decides without I/O, `command` carries it out.
"""
