import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The examples `uppercase` and `sleepy` on Confluent's Parallel Consumer: order by key, 16 threads. */
public final class Parallel {
  public static void main(String[] arguments) throws InterruptedException {
    String bootstrap = arguments[0], from = arguments[1], to = arguments[2], group = arguments[3];
    String function = arguments[4], sending = arguments[5];
    var consumer = new KafkaConsumer<byte[], byte[]>(Map.of(
        "bootstrap.servers", bootstrap, "group.id", group, "auto.offset.reset", "earliest",
        "enable.auto.commit", "false"), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    var producer = new KafkaProducer<byte[], byte[]>(
        Map.of("bootstrap.servers", bootstrap), new ByteArraySerializer(), new ByteArraySerializer());
    var options = ParallelConsumerOptions.<byte[], byte[]>builder().ordering(ProcessingOrder.KEY).maxConcurrency(16)
        .consumer(consumer);
    boolean waits = sending.equals("waits");
    if (waits) {
      options.producer(producer);
    }
    var parallel = ParallelStreamProcessor.createEosStreamProcessor(options.build());
    Runtime.getRuntime().addShutdownHook(new Thread(parallel::close));
    parallel.subscribe(List.of(from));
    if (waits) {
      // As its manual shows: a thread waits until Kafka has what it sent.
      parallel.pollAndProduce(context -> handle(function, to, context.key(), context.value()));
    } else {
      // Quicker, and weaker: an offset may be committed before its output is safe.
      parallel.poll(context -> producer.send(handle(function, to, context.key(), context.value())));
    }
    Thread.currentThread().join();
  }

  private static ProducerRecord<byte[], byte[]> handle(String function, String to, byte[] key, byte[] value) {
    return new ProducerRecord<>(to, key, function.equals("sleepy") ? sleepy(value) : uppercase(value));
  }

  private static byte[] sleepy(byte[] value) {
    try {
      Thread.sleep(ThreadLocalRandom.current().nextInt(5));
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
    return value;
  }

  private static byte[] uppercase(byte[] value) {
    byte[] upper = new byte[value.length];
    for (int i = 0; i < value.length; i++) {
      byte letter = value[i];
      upper[i] = letter >= 'a' && letter <= 'z' ? (byte) (letter - 32) : letter;
    }
    return upper;
  }
}
