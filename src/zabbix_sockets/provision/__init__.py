"""The verb `provision`: imports templates into a Zabbix server by its API, and links hosts to them.

`options` and `credentials` have the desired state and the login, `api` alone talks to the server,
`templates` and `inventory` ask it for the actual state, `plan` decides on changes without I/O,
`command` carries them out.
"""
