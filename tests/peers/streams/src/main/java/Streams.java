import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** The example `uppercase` as a Kafka Streams application of two threads; all else as it comes, or set for short delays. */
public final class Streams {
  public static void main(String[] arguments) throws InterruptedException {
    String bootstrap = arguments[0], from = arguments[1], to = arguments[2], guarantee = arguments[3];
    String application = arguments[4], folder = arguments[5];
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    // What a user sets who needs results soon rather than many.
    if (arguments[6].equals("soon")) {
      settings.put(StreamsConfig.producerPrefix("linger.ms"), 0);
      settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 10);
    }
    var bytes = Serdes.ByteArray();
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(from, Consumed.with(bytes, bytes)).mapValues(Streams::uppercase).to(to, Produced.with(bytes, bytes));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    Thread.currentThread().join();
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
