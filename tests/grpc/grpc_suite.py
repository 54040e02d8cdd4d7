"""The cases, and what they are run with."""

import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
from conformance.process import server

SERVICE = "forebay.test.Echo"
HOST = "grpc.test"
# Far longer than anything takes here.
LIMIT = 30


class Service:
    """A server that echoes, in each of the four ways, and does what is asked of it in metadata."""

    def __init__(self):
        self.seen = []
        self.began = threading.Semaphore(0)
        self.gone = threading.Semaphore(0)

    def handlers(self):
        """Its methods, whose messages are bytes."""
        methods = {
            "One": grpc.unary_unary_rpc_method_handler(self.one),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def one(self, message, context):
        said = dict(context.invocation_metadata())
        self.seen.append(said)
        context.send_initial_metadata((("x-begins", "yes"),))
        context.set_trailing_metadata((("x-ends", "yes"), ("x-ends-bin", bytes(range(256)))))
        if "x-fail" in said:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so: ä%")
        return message

    def many(self, message, _context):
        for n in range(int(message)):
            yield str(n).encode()

    def sum(self, messages, _context):
        return str(sum(len(message) for message in messages)).encode()

    def both(self, messages, _context):
        yield from messages

    def wait(self, _message, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        self.began.release()
        if ended.wait(LIMIT):
            self.gone.release()
        return b""


class Setting:
    """A server, a node in front of it, and a channel to the node."""

    def __init__(self, binary, directory, by_tls):
        self.binary, self.directory, self.by_tls = binary, directory, by_tls
        self.stack = ExitStack()
        self.service = Service()

    def __enter__(self):
        with ExitStack() as begun:
            self.origin = self.serve(begun)
            self.port = begun.enter_context(self.node())
            self.channel = begun.enter_context(self.connect())
            self.stack = begun.pop_all()
        return self

    def __exit__(self, *error):
        self.stack.close()

    def serve(self, begun):
        """The server; returns its port."""
        if self.by_tls:
            self.certificate()
        options = [("grpc.max_receive_message_length", -1)]
        self.server = grpc.server(ThreadPoolExecutor(64), options=options)
        self.server.add_generic_rpc_handlers((self.service.handlers(),))
        if self.by_tls:
            pair = [((self.directory / "key.pem").read_bytes(), (self.directory / "cert.pem").read_bytes())]
            port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
        else:
            port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        begun.callback(lambda: self.server.stop(None).wait())
        return port

    def certificate(self):
        """One for the node and the server, that is its own authority."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=test", "-addext", f"subjectAltName=DNS:{HOST}", "-addext", "basicConstraints=CA:FALSE"]
            + ["-keyout", self.directory / "key.pem", "-out", self.directory / "cert.pem"],
            check=True,
            capture_output=True,
        )

    def node(self):
        """Forebay in front of the server."""
        scheme, http, names = ("https", "auto", "tls = true") if self.by_tls else ("http", "2", "http2 = true")
        cert, key = (json.dumps(str(self.directory / name)) for name in ("cert.pem", "key.pem"))
        shown = f"[certificates.test]\nchain = {cert}\nkey = {key}" if self.by_tls else ""
        known = f"tls.ca = {cert}\ntls.server_name = {json.dumps(HOST)}" if self.by_tls else ""
        file = self.directory / "forebay.toml"
        file.write_text(f"""
[[listeners]]
address = "127.0.0.1:0"
{names}
[log]
access = "off"
{shown}
[sites.grpc]
hosts = [{json.dumps(HOST)}]
pool = "grpc"
[pools.grpc]
endpoints = ["{scheme}://127.0.0.1:{self.origin}"]
http = "{http}"
{known}
""")
        command = [self.binary, "serve", "--config", file]
        return server(command, self.directory / "forebay.log", r"listening on https?://\S+:(\d+)\b")

    def connect(self):
        """A channel to the node."""
        address, options = f"127.0.0.1:{self.port}", [("grpc.default_authority", HOST)]
        options.append(("grpc.max_receive_message_length", -1))
        if not self.by_tls:
            return grpc.insecure_channel(address, options)
        trusted = grpc.ssl_channel_credentials((self.directory / "cert.pem").read_bytes())
        return grpc.secure_channel(address, trusted, [*options, ("grpc.ssl_target_name_override", HOST)])

    def call(self, kind, method):
        """A method of the service, to be called."""
        return getattr(self.channel, kind)(f"/{SERVICE}/{method}")

    def log(self):
        """What the node said."""
        return (self.directory / "forebay.log").read_text(errors="replace")


def code_of(call):
    """The status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def one_message_each_way(setting):
    call = setting.call("unary_unary", "One")
    said, call = call.with_call(b"hello", timeout=LIMIT, metadata=(("x-mine", "a"), ("x-mine-bin", b"\x00\xff")))
    assert said == b"hello"
    assert ("x-begins", "yes") in call.initial_metadata()
    trailing = dict(call.trailing_metadata())
    assert trailing["x-ends"] == "yes" and trailing["x-ends-bin"] == bytes(range(256)), trailing
    seen = setting.service.seen[-1]
    assert seen["x-mine"] == "a" and seen["x-mine-bin"] == b"\x00\xff", seen


def an_empty_message(setting):
    assert setting.call("unary_unary", "One")(b"", timeout=LIMIT) == b""


def an_error_with_its_words(setting):
    try:
        setting.call("unary_unary", "One")(b"", timeout=LIMIT, metadata=(("x-fail", "yes"),))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "not so: ä%", error
        assert dict(error.trailing_metadata())["x-ends"] == "yes"
    else:
        raise AssertionError("it did not fail")


def a_method_that_is_not_there(setting):
    assert code_of(lambda: setting.call("unary_unary", "None")(b"", timeout=LIMIT)) == grpc.StatusCode.UNIMPLEMENTED


def many_messages_back(setting):
    said = list(setting.call("unary_stream", "Many")(b"1000", timeout=LIMIT))
    assert said == [str(n).encode() for n in range(1000)]
    assert list(setting.call("unary_stream", "Many")(b"0", timeout=LIMIT)) == []


def many_messages_there(setting):
    said = setting.call("stream_unary", "Sum")((b"x" * n for n in range(1000)), timeout=LIMIT)
    assert said == str(sum(range(1000))).encode()


def messages_both_ways_in_turn(setting):
    """Each message is sent only when the one before it has come back."""
    back = threading.Semaphore(1)

    def messages():
        for n in range(200):
            assert back.acquire(timeout=LIMIT)
            yield str(n).encode()

    came = []
    for message in setting.call("stream_stream", "Both")(messages(), timeout=LIMIT):
        came.append(message)
        back.release()
    assert came == [str(n).encode() for n in range(200)]


def large_messages(setting):
    large = bytes(range(256)) * (32 << 10)
    assert setting.call("unary_unary", "One")(large, timeout=LIMIT) == large
    both = setting.call("stream_stream", "Both")(iter([large, b"", large]), timeout=LIMIT)
    assert list(both) == [large, b"", large]


def many_calls_at_once(setting):
    call = setting.call("unary_unary", "One")
    calls = [(n, call.future(str(n).encode(), timeout=LIMIT)) for n in range(300)]
    for n, answer in calls:
        assert answer.result(LIMIT) == str(n).encode()


def a_time_limit(setting):
    """The server hears of it, and that nobody waits any more."""
    wait = setting.call("unary_unary", "Wait")
    assert code_of(lambda: wait(b"", timeout=0.3)) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert setting.service.began.acquire(timeout=LIMIT)
    assert setting.service.gone.acquire(timeout=LIMIT)


def a_call_that_is_given_up(setting):
    """The server hears of it."""
    answer = setting.call("unary_unary", "Wait").future(b"", timeout=LIMIT)
    assert setting.service.began.acquire(timeout=LIMIT)
    answer.cancel()
    assert setting.service.gone.acquire(timeout=LIMIT)
    assert setting.call("unary_unary", "One")(b"a", timeout=LIMIT) == b"a"


def a_server_that_goes_and_comes_back(setting):
    """Calls fail as they do without anything between, and go on as soon as it is there again."""
    call = setting.call("unary_unary", "One")
    setting.server.stop(None).wait()
    assert code_of(lambda: call(b"", timeout=LIMIT)) == grpc.StatusCode.UNAVAILABLE
    setting.server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1)])
    setting.server.add_generic_rpc_handlers((setting.service.handlers(),))
    address = f"127.0.0.1:{setting.origin}"
    if setting.by_tls:
        pair = [((setting.directory / "key.pem").read_bytes(), (setting.directory / "cert.pem").read_bytes())]
        assert setting.server.add_secure_port(address, grpc.ssl_server_credentials(pair)) == setting.origin
    else:
        assert setting.server.add_insecure_port(address) == setting.origin
    setting.server.start()
    end = time.monotonic() + LIMIT
    while code_of(lambda: call(b"", timeout=LIMIT)) != grpc.StatusCode.OK:
        assert time.monotonic() < end, "it does not come back"


CASES = [
    one_message_each_way,
    an_empty_message,
    an_error_with_its_words,
    a_method_that_is_not_there,
    many_messages_back,
    many_messages_there,
    messages_both_ways_in_turn,
    large_messages,
    many_calls_at_once,
    a_time_limit,
    a_call_that_is_given_up,
    a_server_that_goes_and_comes_back,
]
