"""An Event Hubs client that shares nothing with evictd or its lab.

It is Microsoft's Python SDK (azure-eventhub 5.15.1), whose AMQP library is its
own: what it sends and reads through the lab's Event Hubs stand-in shows that
the stand-in speaks the protocol and not just the dialect of the Rust SDK.

    send --connection-string S --hub NAME --partition N FILE.ndjson
        Sends each line of FILE ('-' is standard input) as one event.
    read --connection-string S --hub NAME --count N [--group G] [--timeout S]
        Prints N events from the start of all partitions, as NDJSON:
        {"partition", "sequence_number", "offset", "enqueued_time",
         "partition_key", "body"}

Plain TCP: Endpoint=sb://127.0.0.1:PORT;…;UseDevelopmentEmulator=true
TLS: Endpoint=sb://localhost;… and --endpoint localhost:PORT --ca FILE, the
authority to trust.

Exit code 0 when all was sent or read, 1 when time ran out.
"""

import argparse
import json
import sys
import threading

from azure.eventhub import (
    EventData,
    EventHubConsumerClient,
    EventHubProducerClient,
    TransportType,
)
from azure.eventhub._pyamqp._platform import KNOWN_TCP_OPTS

# The SDK writes back the socket options it reads. The segment size it reads on
# loopback may be 32768, which Linux refuses to set ("Invalid argument").
KNOWN_TCP_OPTS.discard("TCP_MAXSEG")


def client_options(args):
    options = {
        "conn_str": args.connection_string,
        "eventhub_name": args.hub,
        "retry_total": 0,
        # A custom endpoint means WebSockets unless told otherwise.
        "transport_type": TransportType.Amqp,
    }
    if args.endpoint:
        options["custom_endpoint_address"] = f"sb://{args.endpoint}"
    if args.ca:
        options["connection_verify"] = args.ca
    return options


def lines(path):
    source = sys.stdin if path == "-" else open(path, encoding="utf-8")
    with source:
        for line in source:
            if line.strip():
                yield line.rstrip("\n")


def send(args):
    """Sends the file's lines, in as few batches as they fit."""
    sent = 0
    with EventHubProducerClient.from_connection_string(**client_options(args)) as producer:
        batch = producer.create_batch(partition_id=args.partition)
        for line in lines(args.file):
            try:
                batch.add(EventData(line))
            except ValueError:  # The batch is full.
                producer.send_batch(batch)
                batch = producer.create_batch(partition_id=args.partition)
                batch.add(EventData(line))
            sent += 1
        if len(batch):
            producer.send_batch(batch)
    print(json.dumps({"sent": sent}))
    return True


def described(context, event):
    return {
        "partition": context.partition_id,
        "sequence_number": event.sequence_number,
        "offset": event.offset,
        "enqueued_time": event.enqueued_time.isoformat(),
        "partition_key": event.partition_key and event.partition_key.decode(),
        "body": event.body_as_str(),
    }


def read(args):
    """Prints the first events of all partitions until there are enough."""
    enough = threading.Event()
    lock = threading.Lock()
    left = args.count

    def on_events(context, events):
        nonlocal left
        with lock:
            for event in events[:left]:
                print(json.dumps(described(context, event)))
            left -= min(left, len(events))
            sys.stdout.flush()
            if left == 0:
                enough.set()

    def on_error(context, error):
        where = "all partitions" if context is None else f"partition {context.partition_id}"
        print(f"{where}: {error}", file=sys.stderr)

    consumer = EventHubConsumerClient.from_connection_string(
        consumer_group=args.group, **client_options(args)
    )
    reader = threading.Thread(
        # Event by event the SDK waits for an idle partition after each one.
        target=consumer.receive_batch,
        kwargs={
            "on_event_batch": on_events,
            "on_error": on_error,
            "starting_position": "-1",
        },
        daemon=True,
    )
    reader.start()
    in_time = enough.wait(args.timeout)
    consumer.close()
    reader.join(args.timeout)
    return in_time


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(required=True)
    for name, run in (("send", send), ("read", read)):
        mode = modes.add_parser(name)
        mode.set_defaults(run=run)
        mode.add_argument("--connection-string", required=True)
        mode.add_argument("--hub", required=True)
        mode.add_argument("--endpoint", metavar="HOST:PORT")
        mode.add_argument("--ca", metavar="FILE")
        if run is send:
            mode.add_argument("--partition", required=True)
            mode.add_argument("file", metavar="FILE.ndjson")
        else:
            mode.add_argument("--count", type=int, required=True)
            mode.add_argument("--group", default="$Default")
            mode.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    args = parser.parse_args()
    return 0 if args.run(args) else 1


if __name__ == "__main__":
    sys.exit(main())
