/*
 * Lesson 10: a function that keeps things back emits nothing for them.
 *
 * A bid below the least amount goes no further; every other passes unchanged. How much that is, is in the manifest's
 * [env]. What is no bid asks for another attempt, and is a dead letter after the last: a command has no other way to
 * refuse. The reading and writing is in millstream.h.
 */
#include "millstream.h"

int main(void) {
    const char *event = ms_read_event();
    const char *bid = ms_member(event, "data");
    double amount, least;
    if (!ms_number(ms_member(bid, "amount"), &amount)) ms_retry("the data have no amount");
    if (!ms_number(getenv("LEAST"), &least)) ms_retry("LEAST is no number: set it in [env] of the manifest");
    if (amount < least) return 0;

    struct ms_emission high = {
        .id = ms_text(ms_member(event, "id")),
        .source = ms_text(ms_member(event, "source")),
        .type = "auction.bid.high",
        .data = bid,
    };
    ms_emit(&high);
    return 0;
}
