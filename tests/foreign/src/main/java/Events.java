import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.CloudEventSerializer;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes CloudEvents to Kafka, or reads them, with CloudEvents' own SDK.
 *
 * <p>{@code write BOOTSTRAP TOPIC binary|structured} writes the events below and prints each as a line of JSON. {@code read
 * BOOTSTRAP TOPIC COUNT} reads that many of partition 0 and prints them as such.
 */
public final class Events {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final JsonFormat JSON = new JsonFormat();
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  public static void main(String[] arguments) throws Exception {
    String what = arguments[0], bootstrap = arguments[1], topic = arguments[2], how = arguments[3];
    if (what.equals("write")) {
      write(bootstrap, topic, Encoding.valueOf(how.toUpperCase()));
    } else {
      read(bootstrap, topic, Integer.parseInt(how));
    }
  }

  private static List<CloudEvent> events() {
    CloudEventBuilder common =
        CloudEventBuilder.v1().withSource(URI.create("/shop/süd?a=b%20c")).withType("com.example.someevent");
    byte[] json = "{\"message\": \"Grüße\", \"n\": [1, 2.50]}".getBytes(StandardCharsets.UTF_8);
    byte[] text = "line one\nline \"two\" €".getBytes(StandardCharsets.UTF_8);
    byte[] bytes = {0, 1, (byte) 0xff, 10, (byte) 0xc3};
    return List.of(
        common
            .newBuilder()
            .withId("json")
            .withSubject("Ein Betreff mit Umlaut: ü, 100 %")
            .withTime(OffsetDateTime.parse("2018-04-05T03:56:24.123Z"))
            .withDataSchema(URI.create("https://example.com/schema"))
            .withExtension("region", "eu")
            .withExtension("count", 7)
            .withExtension("urgent", true)
            .withData("application/json", json)
            .build(),
        common.newBuilder().withId("text").withData("text/plain", text).build(),
        common.newBuilder().withId("bytes").withData("application/octet-stream", bytes).build());
  }

  private static void write(String bootstrap, String topic, Encoding encoding) throws Exception {
    Map<String, Object> settings =
        Map.of(
            "bootstrap.servers",
            bootstrap,
            CloudEventSerializer.ENCODING_CONFIG,
            encoding,
            CloudEventSerializer.EVENT_FORMAT_CONFIG,
            JsonFormat.CONTENT_TYPE);
    CloudEventSerializer serializer = new CloudEventSerializer();
    serializer.configure(settings, false);
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), serializer)) {
      for (CloudEvent event : events()) {
        producer.send(new ProducerRecord<>(topic, 0, event.getId(), event)).get();
        print(event);
      }
    }
  }

  private static void read(String bootstrap, String topic, int count) {
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed");
    Instant end = Instant.now().plus(PATIENCE);
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new CloudEventDeserializer())) {
      List<TopicPartition> partitions = List.of(new TopicPartition(topic, 0));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      for (int found = 0; found < count; ) {
        if (Instant.now().isAfter(end)) {
          throw new IllegalStateException("only " + found + " of " + count + " events came");
        }
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          print(record.value());
          found++;
        }
      }
    }
  }

  private static void print(CloudEvent event) {
    OUT.println(new String(JSON.serialize(event), StandardCharsets.UTF_8));
  }
}
