"""kombu's Redis transport, for a worker that outlives its Redis and whatever is put into its queues.

- A connection that is lost is closed whatever happens. kombu gives up half-way when Redis does not take a message back, and
  Celery then closes once more what has no connection any more: AttributeError, the end of the worker (celery/kombu#582, #970).
- What is not a message is set aside as it leaves its queue. They would end the worker over it (celery/celery#4308, #7975).

``tasks/celery.py`` has kombu use it for redis:// and rediss://.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps, loads

from app.errors import EngineError
from app.outage import Outage
from tasks.celery import engine
from tasks.delivery import QUEUES
from tasks.messages import flaw, task_arguments, task_name

NEWEST = 100  # messages of a queue that are looked at: some 0.1 MB
BROADCASTS = "broadcasts"  # to all workers, or of what happens to tasks; they are in no queue

_log = logging.getLogger(__name__)
_lost_messages = Outage("what brings back messages of workers that died", _log)


def set_aside(queue: str, message: bytes, reason: str) -> None:
    """Keep for an operator what is no message, and say so without what is in it."""
    name = queue if queue in QUEUES else BROADCASTS  # replies have queues with names of their own, as many as there are callers
    _log.error("a message of %s is set aside: it %s", name, reason)
    try:
        engine().malformed_messages.set_aside(name, message, reason)
    except EngineError as error:
        _log.error("it is lost: %s", error)


class QoS(kombu_redis.QoS):
    """Knows of each message in hand how far it is, also where Redis could not be told."""

    channel: "Channel"
    _remove_from_indices: Callable[..., Any]
    _delivered: OrderedDict[str, Any]  # messages in hand, by tag
    _dirty: set[str]  # tags of those among them that are done

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unsaved: set[str] = set()  # tags of messages that have left their queue, and are nowhere else
        self.untold: set[str] = set()  # tags of messages that are done

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is in hand, here before in Redis."""
        self.unsaved.add(delivery_tag)
        self._delivered[delivery_tag] = message
        super().append(message, delivery_tag)
        self.unsaved.discard(delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Strike off a message that is done, and those that could not be struck off before."""
        self._dirty.add(delivery_tag)
        self.untold.add(delivery_tag)
        try:
            self.tell()
        except self.channel.connection_errors as error:
            _log.debug("what is done cannot be struck off yet: %s", error)

    def tell(self) -> None:
        """Strike off what is done and in Redis still counts as in hand. Raises the driver's errors."""
        told = list(self.untold)
        if told:
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, *told).hdel(self.unacked_key, *told).execute()
            self.untold.difference_update(told)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Look for messages of workers that are gone, every few seconds; not while the broker takes no writes."""
        try:
            super().restore_visible(*args, **kwargs)
        except self.channel.ResponseError as error:
            _lost_messages.gone(error)
        else:
            _lost_messages.back()

    def put_back(self, tag: str, message: Any, *, is_saved: bool) -> None:
        """Back to its queue, to be the next; a message that is not even noted in Redis, too. Raises the driver's errors."""
        if is_saved:
            self.restore_by_tag(tag, leftmost=False)
            return
        place = message.delivery_info
        with self.pipe_or_acquire() as pipe:
            self._remove_from_indices(tag, pipe)  # it may have been noted, and the answer been lost
            self.channel._do_restore_message(message._raw, place["exchange"], place["routing_key"], pipe)
            pipe.execute()


class Client(kombu_redis.PrefixedStrictRedis):
    """Gives out of a queue only what is a message."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """What the server answered; to BRPOP nothing, as when its queues were empty, when it was no message."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not answer:
            return answer
        queue = answer[0].decode().partition(Channel.sep)[0]
        reason = flaw(answer[1], is_task=queue in QUEUES)
        if reason is None:
            return answer
        set_aside(queue, answer[1], reason)
        return None


class Channel(kombu_redis.Channel):
    QoS = QoS
    # What the type stubs of kombu lack.
    connection_errors: tuple[type[Exception], ...]
    ResponseError: type[Exception]
    _q_for_pri: Callable[[str, int], str]
    _do_restore_message: Callable[..., None]

    def _get_client(self) -> Any:
        super()._get_client()  # type: ignore[misc]  # which looks at the driver's version
        return partial(Client, global_keyprefix=self.global_keyprefix)

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep bindings from expiring, which takes them an hour; kombu tries each second, and logs each failure at length."""
        try:
            super().maybe_refresh_binding_expiry()  # type: ignore[misc]  # as above
        except self.ResponseError as error:
            _log.debug("bindings are not refreshed yet: %s", error)

    def waiting(self, queue: str) -> set[str]:
        """The names of the tasks that wait in a queue, by its newest hundred messages. Raises the driver's errors."""
        key = self.global_keyprefix + self._q_for_pri(queue, 0)
        with self.conn_or_acquire() as client:
            return {name for item in client.lrange(key, 0, NEWEST - 1) if (name := task_name(item))}

    def calls(self, queues: Iterable[str], name: str) -> tuple[list[list[Any]], list[list[Any]]]:
        """The arguments of a task's calls that wait in some queues, and of those that workers have in hand.

        All of them, where the queues are no longer than the bridge lets them become. Raises the driver's errors.
        """
        prefix = self.global_keyprefix
        with self.conn_or_acquire() as client, client.pipeline() as pipe:
            for queue in queues:
                pipe.lrange(prefix + self._q_for_pri(queue, 0), 0, -1)
            *queued, in_hand = pipe.hvals(prefix + self.unacked_key).execute()
        waiting = list(chain.from_iterable(queued))
        taken = [message for each in in_hand if (message := _in_hand(each)) is not None]
        return tuple([found for each in items if (found := task_arguments(each, name))] for items in (waiting, taken))  # type: ignore[return-value]

    def close(self) -> None:
        """Close it, whether Redis answers or not."""
        try:
            super().close()
        except (*self.connection_errors, self.ResponseError) as error:
            _log.debug("a channel is closed without telling Redis: %s", error)
            self.auto_delete_queues.clear()
            self.do_restore = False  # a worker takes up again what it had in hand: see tasks/consumer.py
            self.closed = False
            super().close()

    def _handle_message(self, client: Any, r: Any) -> Any:
        """What came over a channel; without its data when that is no message."""
        received = super()._handle_message(client, r)  # type: ignore[misc]  # as above
        data = received["data"]
        if received["type"].endswith(b"message") and data and (reason := flaw(data, is_task=False)):
            set_aside(BROADCASTS, data, reason)
            received["data"] = None
        return received

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        try:
            return bool(super()._deliver_fanout_message(message, exchange))  # type: ignore[misc]  # as above
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reason = f"is not of the kind that is expected there: {type(error).__name__}"
            set_aside(BROADCASTS, dumps(message).encode(), reason)
        return False


class Transport(kombu_redis.Transport):
    Channel = Channel


def _in_hand(item: bytes) -> bytes | None:
    """The message of an entry of what workers have in hand; None for what is none, which must not hide the others."""
    try:
        return dumps(loads(item)[0]).encode()
    except (ValueError, LookupError, TypeError):
        return None
