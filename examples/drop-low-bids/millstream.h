/*
 * The command shape in C: one event on stdin, events on stdout. Copy this file beside your own and include it once; it
 * needs nothing but the standard library.
 *
 * JSON is not taken apart into a tree: a value is where it begins in the text, and these functions look at it there. The
 * text is what the host wrote, so it is well-formed; what is not is taken for a value that is not there.
 */
#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program; the host tries the event again. After the last attempt the reason is in its dead letter. */
static inline _Noreturn void ms_retry(const char *reason) {
    fprintf(stderr, "%s\n", reason);
    exit(1);
}

/* Memory that is there: a program that runs for one event never gives any back. */
static inline char *ms_allocate(size_t size) {
    char *memory = malloc(size);
    if (memory == NULL) ms_retry("out of memory");
    return memory;
}

/* The event on stdin, as JSON. */
static inline const char *ms_read_event(void) {
    size_t room = 65536, length = 0;
    char *text = ms_allocate(room);
    for (size_t taken; (taken = fread(text + length, 1, room - 1 - length, stdin)) > 0;) {
        length += taken;
        if (length + 1 < room) continue;
        room *= 2;
        text = realloc(text, room);
        if (text == NULL) ms_retry("out of memory");
    }
    text[length] = '\0';
    return text;
}

/* Where the text goes on after spaces. */
static inline const char *ms_after_spaces(const char *at) { return at + strspn(at, " \t\r\n"); }

/* Where a string ends that begins at its quote; NULL if it never does. */
static inline const char *ms_string_end(const char *at) {
    for (at++; *at != '"'; at++) {
        if (*at == '\\') at++;
        if (*at == '\0') return NULL;
    }
    return at + 1;
}

/* Where a value ends; NULL if it never does. */
static inline const char *ms_value_end(const char *at) {
    size_t depth = 0;
    do {
        at = ms_after_spaces(at);
        switch (*at) {
        case '\0': return NULL;
        case '"':
            at = ms_string_end(at);
            if (at == NULL) return NULL;
            break;
        case '{': case '[': depth++; at++; break;
        case '}': case ']':
            if (depth == 0) return NULL;
            depth--; at++; break;
        case ',': case ':':
            if (depth == 0) return NULL;
            at++; break;
        default: at += strcspn(at, " \t\r\n,:{}[]\"");
        }
    } while (depth > 0);
    return at;
}

/* A UTF-16 unit of four hexadecimal digits; -1 if it is none. */
static inline long ms_unit(const char *at) {
    char digits[5] = {0};
    char *end;
    memcpy(digits, at, strnlen(at, 4));
    long unit = strtol(digits, &end, 16);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 && *end == '\0' ? unit : -1;
}

static inline char *ms_put_utf8(char *to, unsigned long code) {
    if (code < 0x80) *to++ = (char)code;
    else {
        if (code < 0x800) *to++ = (char)(0xC0 | code >> 6);
        else {
            if (code < 0x10000) *to++ = (char)(0xE0 | code >> 12);
            else {
                *to++ = (char)(0xF0 | code >> 18);
                *to++ = (char)(0x80 | (code >> 12 & 0x3F));
            }
            *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        }
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* What the string at `value` says, with its escapes resolved; NULL if there is no string. */
static inline char *ms_text(const char *value) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *end = value != NULL && *value == '"' ? ms_string_end(value) : NULL;
    if (end == NULL) return NULL;
    char *text = ms_allocate((size_t)(end - value)), *to = text;
    for (const char *at = value + 1; at < end - 1;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        const char *name = strchr(names, at[1]);
        if (name != NULL) {
            *to++ = meant[name - names];
            at += 2;
            continue;
        }
        long unit = at[1] == 'u' ? ms_unit(at + 2) : -1;
        if (unit < 0) return NULL;
        at += 6;
        unsigned long code = (unsigned long)unit;
        if (code >= 0xD800 && code < 0xDC00 && at[0] == '\\' && at[1] == 'u') {
            long low = ms_unit(at + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + ((unsigned long)low - 0xDC00);
                at += 6;
            }
        }
        to = ms_put_utf8(to, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    }
    *to = '\0';
    return text;
}

/* The value of the member `name` of the object at `object`; NULL if there is no such object or member, or it is null. */
static inline const char *ms_member(const char *object, const char *name) {
    const char *at = object != NULL ? ms_after_spaces(object) : "";
    if (*at != '{') return NULL;
    for (at = ms_after_spaces(at + 1); *at == '"'; at = ms_after_spaces(at + 1)) {
        const char *found = ms_text(at);
        at = ms_string_end(at);
        if (found == NULL || at == NULL) return NULL;
        at = ms_after_spaces(at);
        if (*at != ':') return NULL;
        at = ms_after_spaces(at + 1);
        if (strcmp(found, name) == 0) return strncmp(at, "null", 4) == 0 ? NULL : at;
        at = ms_value_end(at);
        if (at == NULL) return NULL;
        at = ms_after_spaces(at);
        if (*at != ',') return NULL;
    }
    return NULL;
}

/* Whether there is a number at `value`, which `number` then is. */
static inline int ms_number(const char *value, double *number) {
    char *end;
    if (value == NULL || strchr("-0123456789", *value) == NULL) return 0;
    *number = strtod(value, &end);
    return end != value;
}

/* The data of an event that is JSON are its member "data"; all other data are decoded here. NULL if there are none. */
static inline unsigned char *ms_bytes(const char *event, size_t *length) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *text = ms_text(ms_member(event, "data_base64"));
    if (text == NULL) return NULL;
    unsigned char *bytes = (unsigned char *)ms_allocate(strlen(text) + 1), *to = bytes;
    unsigned long bits = 0;
    for (int have = 0; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(alphabet, *text);
        if (digit == NULL) return NULL;
        bits = (bits << 6 | (unsigned long)(digit - alphabet)) & 0xFFFF;
        have += 6;
        if (have >= 8) *to++ = (unsigned char)(bits >> (have -= 8));
    }
    *length = (size_t)(to - bytes);
    *to = '\0';
    return bytes;
}

/* What is emitted. Texts are UTF-8; NULL is what is not said. */
struct ms_emission {
    const char *id, *source, *type; /* must be said */
    const char *subject;
    const char *output;             /* a name from the manifest's [outputs]; "default" if not said */
    const char *key;                /* that of the record which was handled, if not said */
    const char *data;               /* one value of JSON; what follows it is left out */
};

/* JSON that is being written; begins as {0}. */
struct ms_json {
    char *text;
    size_t length, room;
};

/* Writes a piece of JSON as it is. */
static inline void ms_put_bytes(struct ms_json *json, const char *piece, size_t length) {
    if (json->room < json->length + length + 1) {
        json->room = 2 * (json->length + length + 1);
        json->text = realloc(json->text, json->room);
        if (json->text == NULL) ms_retry("out of memory");
    }
    memcpy(json->text + json->length, piece, length);
    json->text[json->length += length] = '\0';
}

static inline void ms_put(struct ms_json *json, const char *piece) { ms_put_bytes(json, piece, strlen(piece)); }

/* Writes what stands between the quotes of a string that says `text`, which is UTF-8. */
static inline void ms_put_escaped(struct ms_json *json, const char *text) {
    for (char escaped[8]; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') snprintf(escaped, sizeof escaped, "\\%c", byte);
        else if (byte < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", byte);
        else snprintf(escaped, sizeof escaped, "%c", byte);
        ms_put(json, escaped);
    }
}

/* Emits an event. Nothing is emitted unless the program ends with 0. */
static inline void ms_emit(const struct ms_emission *emission) {
    const char *const names[] = {"id", "source", "type", "subject", "millstreamoutput", "partitionkey"};
    const char *const values[] = {emission->id,      emission->source, emission->type,
                                  emission->subject, emission->output, emission->key};
    struct ms_json line = {0};
    ms_put(&line, "{\"specversion\":\"1.0\"");
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        if (values[index] == NULL) continue;
        ms_put(&line, ",\"");
        ms_put(&line, names[index]);
        ms_put(&line, "\":\"");
        ms_put_escaped(&line, values[index]);
        ms_put(&line, "\"");
    }
    if (emission->data != NULL) {
        const char *end = ms_value_end(emission->data);
        if (end == NULL) ms_retry("the data to emit are no JSON");
        ms_put(&line, ",\"datacontenttype\":\"application/json\",\"data\":");
        ms_put_bytes(&line, emission->data, (size_t)(end - emission->data));
    }
    ms_put(&line, "}\n");
    if (fwrite(line.text, 1, line.length, stdout) != line.length || fflush(stdout) != 0) ms_retry("stdout is closed");
}

#endif
