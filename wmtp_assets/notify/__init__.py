"""Messages to people: what failed, as JSON for a webhook of Slack or Microsoft Teams.

- `message.py`  what a message says, and its JSON, bounded and escaped
- `webhook.py`  where messages go (the environment alone says so), and sending one

Which events of a run are worth a message is decided in `orchestration/notifications.py`.
"""
