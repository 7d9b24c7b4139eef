"""WHICH SERVER PROCESS WAS HEARD OF SINCE: one that was killed writes no end of what it held, nor anything else."""

from collections.abc import Sequence

from wscheck.model.events import Event


class NodeLiveness:
    """Whom it is not known of whether the process that has the older connection still lives.

    users  each of them, with the process that said nothing since
    """

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._since: dict[str, dict[str, float]] = {}
        self.users: dict[str, str] = {}

    def observe(self, event: Event) -> dict[str, float]:
        """A process said something; gives those who were in doubt because of its silence, and since when."""
        node, at = event.node, event.at
        if node is None or at is None:
            return {}
        self._heard[node] = at
        freed = self._since.pop(node, None)
        for user in freed or ():
            del self.users[user]
        return freed or {}

    def mark_suspect(self, user: str, since: float, nodes: Sequence[str | None]) -> bool:
        """Whether, of the processes that have the user's connections, all but one were silent since; remembers it."""
        silent = [node for node in nodes if node is not None and self._heard.get(node, since) < since]
        if not silent or len(nodes) - len(silent) > 1:
            return False
        self.users[user] = silent[0]
        self._since.setdefault(silent[0], {})[user] = since
        return True

    def clear(self, user: str) -> float | None:
        """The user is no longer in doubt; since when it was, None when it was not."""
        node = self.users.pop(user, None)
        if node is None:
            return None
        since = self._since[node].pop(user)
        if not self._since[node]:
            del self._since[node]
        return since

    def sole_suspects(self, before: float) -> list[str]:
        """Those who have been in doubt for so long, each the only one of a silent process: where one was killed, others
        lose their connections with it, and are back at once."""
        lone = (next(iter(users.items())) for users in self._since.values() if len(users) == 1)
        return [user for user, since in lone if since < before]

    def silent(self) -> dict[str, dict[str, float]]:
        """The processes in doubt, each with its users and since when."""
        return {node: dict(users) for node, users in self._since.items()}
