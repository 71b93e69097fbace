#!/usr/bin/env bash
# librdkafka 2.12.1 (confluent-kafka 2.12.1): its mock cluster answers metadata at once, and leaves what is sent to the
# controller waiting until the request times out.
#
# One would guess that a request which the mock does not know fails at once with UnsupportedVersion. But its metadata names
# no controller, so DescribeTopics, which asks one for topic ids, and CreateTopics wait for one that never comes: 10 s of
# silence for each deploy of a program that asks for topic ids on an embedded broker.
#
# Seen on 2026-12-01, with a timeout of 3 s:
#   metadata: [1] after 0 s
#   describe_topics: Failed while waiting for controller: Local: Timed out, after 3 s
#   create_topics: Failed while waiting for controller: Local: Timed out, after 3 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv tools
tools/bin/pip install -q --disable-pip-version-check confluent-kafka==2.12.1
cat >check.py <<'PYTHON'
import sys, time
from confluent_kafka import KafkaException, TopicCollection, libversion
from confluent_kafka.admin import AdminClient, NewTopic

client = AdminClient({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
print("librdkafka", libversion()[0])
start = time.monotonic()
print("metadata:", list(client.list_topics(timeout=10).brokers), f"after {time.monotonic() - start:.0f} s")


def outcome(name, futures):
    start = time.monotonic()
    try:
        futures["a-topic"].result()
        text = "it answered"
    except KafkaException as error:
        text = error.args[0].str()
    waited = time.monotonic() - start
    print(f"{name}: {text}, after {waited:.0f} s")
    return "waiting for controller" in text and waited > 2


described = outcome("describe_topics", client.describe_topics(TopicCollection(["a-topic"]), request_timeout=3))
created = outcome("create_topics", client.create_topics([NewTopic("a-topic", 1, 1)], request_timeout=3))
sys.exit(0 if described and created else "changed: the mock cluster has a controller, or refuses at once")
PYTHON
tools/bin/python check.py
