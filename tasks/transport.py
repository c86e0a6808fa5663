"""kombu's Redis transport, made robust against outages of Redis and malformed messages.

- A lost connection is always closed completely. kombu stops half-way if Redis does not accept a returned message, and Celery
  then closes it again, which crashes the worker with an AttributeError (celery/kombu#582, #970).
- Malformed messages are set aside as they leave their queue; they would crash the worker (celery/celery#4308, #7975).
- A channel with a fence sends only while its process holds a lease; the server checks that together with the send.

``tasks/celery.py`` registers it for redis:// and rediss://.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps, loads

from app.errors import EngineError
from app.outage import Outage
from tasks.celery import engine
from tasks.messages import flaw, task_arguments, task_name
from tasks.queues import QUEUES

NEWEST = 100  # messages of a queue that are read: about 0.1 MB
BROADCASTS = "broadcasts"  # stands for control messages and task events, which are not in a task queue

# Send a message only while a lease is held. Both keys are in the broker's Redis, which cannot be a cluster.
#
# KEYS[1]  the lease: string, the token of its holder
# KEYS[2]  the queue: list
# ARGV[1]  the token of the sender
# ARGV[2]  the message
#
# Returns whether it was sent: 1 or 0.
PUSH_IF_LEASED = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
"""

_log = logging.getLogger(__name__)
_lost_messages = Outage("redelivery of messages of dead workers", _log)


class Fence(NamedTuple):
    """A lease in the broker's Redis: its key without the global prefix, and the token of its holder."""

    key: str
    token: bytes


class NotLeased(Exception):
    """The lease of the channel's fence has ended, so the message was not sent."""


def set_aside(queue: str, message: bytes, reason: str) -> None:
    """Store a malformed message for an operator, and log it without its content."""
    name = queue if queue in QUEUES else BROADCASTS  # bounds the number of names: each caller has its own reply queue
    _log.error("a message of %s is set aside: it %s", name, reason)
    try:
        engine().malformed_messages.set_aside(name, message, reason)
    except EngineError as error:
        _log.error("the message is lost: %s", error)


class QoS(kombu_redis.QoS):
    """Tracks the state of each unacknowledged message, also while Redis does not answer."""

    channel: "Channel"
    _remove_from_indices: Callable[..., Any]
    _delivered: OrderedDict[str, Any]  # unacknowledged messages, by tag
    _dirty: set[str]  # tags of finished messages among them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unsaved: set[str] = set()  # tags of messages that left their queue and are not in Redis
        self.unreported: set[str] = set()  # tags of finished messages whose acknowledgement has not reached Redis

    def append(self, message: Any, delivery_tag: str) -> None:
        """Add an unacknowledged message, here first and then in Redis."""
        self.unsaved.add(delivery_tag)
        self._delivered[delivery_tag] = message
        super().append(message, delivery_tag)
        self.unsaved.discard(delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a finished message, and those whose acknowledgement failed before."""
        self._dirty.add(delivery_tag)
        self.unreported.add(delivery_tag)
        try:
            self.report()
        except self.channel.connection_errors as error:
            _log.debug("finished messages cannot be acknowledged yet: %s", error)

    def report(self) -> None:
        """Remove finished messages from Redis's unacknowledged ones. Raises the driver's errors."""
        tags = list(self.unreported)
        if tags:
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()
            self.unreported.difference_update(tags)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Requeue messages of dead workers; called every few seconds. Logs the outage if the broker rejects writes."""
        try:
            super().restore_visible(*args, **kwargs)
        except self.channel.ResponseError as error:
            _lost_messages.gone(error)
        else:
            _lost_messages.back()

    def put_back(self, tag: str, message: Any, *, is_saved: bool) -> None:
        """Return a message to the head of its queue, even one that is not saved in Redis. Raises the driver's errors."""
        if is_saved:
            self.restore_by_tag(tag, leftmost=False)
            return
        place = message.delivery_info
        with self.pipe_or_acquire() as pipe:
            self._remove_from_indices(tag, pipe)  # it may have been saved without a reply
            self.channel._do_restore_message(message._raw, place["exchange"], place["routing_key"], pipe)
            pipe.execute()


class Client(kombu_redis.PrefixedStrictRedis):
    """Returns only valid messages from queues."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """The server's reply; for BRPOP of a malformed message None, as if the queues were empty."""
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
    fence: Fence | None = None  # messages are sent only while this lease is held
    # Missing from kombu's type stubs.
    connection_errors: tuple[type[Exception], ...]
    ResponseError: type[Exception]
    _q_for_pri: Callable[[str, int], str]
    _do_restore_message: Callable[..., None]

    def _get_client(self) -> Any:
        super()._get_client()  # type: ignore[misc]  # checks the driver's version
        return partial(Client, global_keyprefix=self.global_keyprefix)

    def maybe_refresh_binding_expiry(self) -> None:
        """Refresh bindings, which expire after an hour. kombu tries each second, and would log a traceback per failure."""
        try:
            super().maybe_refresh_binding_expiry()  # type: ignore[misc]  # as above
        except self.ResponseError as error:
            _log.debug("bindings are not refreshed yet: %s", error)

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        """Send a message.

        Raises:
            NotLeased: The channel has a fence, whose lease has ended.
        """
        if self.fence is None:
            super()._put(queue, message, **options)
            return
        prefix, (lease, token) = self.global_keyprefix, self.fence
        with self.conn_or_acquire() as client:
            if not client.eval(PUSH_IF_LEASED, 2, prefix + lease, prefix + self._q_for_pri(queue, 0), token, dumps(message)):
                raise NotLeased

    def waiting(self, queue: str) -> set[str]:
        """The names of tasks in a queue, among its newest ``NEWEST`` messages. Raises the driver's errors."""
        key = self.global_keyprefix + self._q_for_pri(queue, 0)
        with self.conn_or_acquire() as client:
            return {name for item in client.lrange(key, 0, NEWEST - 1) if (name := task_name(item))}

    def ends(self, queues: Iterable[str]) -> tuple[list[tuple[int, bytes | None]], int]:
        """Read the length of queues and the message in each that is taken next. Raises the driver's errors.

        Returns:
            Both for each queue, and the number of messages that workers have reserved.
        """
        with self.conn_or_acquire() as client, client.pipeline() as pipe:
            for queue in queues:
                key = self._q_for_pri(queue, 0)
                pipe.llen(key).lindex(self.global_keyprefix + key, -1)  # kombu adds the prefix in commands that it uses itself
            *found, reserved = pipe.hlen(self.unacked_key).execute()
        return list(zip(found[::2], found[1::2], strict=True)), reserved

    def calls(self, queues: Iterable[str], name: str) -> tuple[list[list[Any]], list[list[Any]]]:
        """Read all calls of a task; the bridge's marks bound their number. Raises the driver's errors.

        Returns:
            The arguments of the calls in these queues, and of those that workers have reserved.
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
        """Close the channel, whether Redis answers or not."""
        try:
            super().close()
        except (*self.connection_errors, self.ResponseError) as error:
            _log.debug("a channel is closed without telling Redis: %s", error)
            self.auto_delete_queues.clear()
            self.do_restore = False  # the worker resumes its messages: see tasks/consumer.py
            self.closed = False
            super().close()

    def _handle_message(self, client: Any, r: Any) -> Any:
        """A pub/sub message; without its data if that is malformed."""
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
    """The message in an unacknowledged entry; None for a malformed entry, which must not hide the others."""
    try:
        return dumps(loads(item)[0]).encode()
    except (ValueError, LookupError, TypeError):
        return None
