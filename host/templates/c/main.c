/* Greets whoever an event names. The reading and writing of events is in millstream.h. */
#include "millstream.h"

int main(void) {
    const char *event = ms_read_event();
    const char *name = ms_text(ms_member(ms_member(event, "data"), "name"));
    /* Asks for another attempt; after the last one the event is a dead letter. */
    if (name == NULL) ms_retry("the data names nobody");

    struct ms_json data = {0};
    ms_put(&data, "{\"greeting\":\"Hello, ");
    ms_put_escaped(&data, name);
    ms_put(&data, "\"}");
    /* It goes to the output "default" with the key of the event, unless it says otherwise. */
    struct ms_emission greeting = {
        .id = ms_text(ms_member(event, "id")),
        .source = ms_text(ms_member(event, "source")),
        .type = "visitor.greeted",
        .data = data.text,
    };
    ms_emit(&greeting);
    return 0;
}
