"""`python3 -I -m zabbix_sockets`: what the agent's UserParameters call."""

from zabbix_sockets.command.cli import main

if __name__ == "__main__":
    main()
