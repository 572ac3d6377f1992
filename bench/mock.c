/* mock.c - a fast upstream, one thread, epoll.
 *
 *   mock COUNTERS_FILE PORT:CHUNKS:DELAY_US[:DIALECT] [PORT:CHUNKS:DELAY_US[:DIALECT] ...]
 *
 * Listens on 127.0.0.1 at each PORT, and speaks OpenAI's chat completions there, or the DIALECT: messages (Anthropic),
 * responses (OpenAI's Responses) or gemini. Any request with a complete body is answered:
 *   - without "stream":true   one JSON chat completion (about 1.1 KB) with usage (200 + 120 tokens)
 *   - with "stream":true, or a path with "stream" in it
 *                             CHUNKS server-sent events, then finish, usage and [DONE];
 *                             DELAY_US = 0 sends everything at once, otherwise one event each DELAY_US
 * Every event carries "TS#<16 digits>;": this process's CLOCK_MONOTONIC in ns when it was sent, so a
 * client on the same machine measures how long a gateway held it (sload.c does).
 * COUNTERS_FILE is a shared map of two uint64: requests received whole, events sent. With it the rig sees
 * that every answer a gateway gave was really asked for here.
 * Path, headers, keys and model are ignored: this is a load target, not a conformance test.
 * A client that does not read for WRITE_PATIENCE_MS is dropped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 200000
#define MAX_TIMERS 400000
#define MAX_PORTS 16
#define MAX_CHUNKS 10000
#define MAX_REQUEST (64u << 20)
#define WRITE_PATIENCE_MS 2000
#define EVENT_HEAD                                                                      \
    "data: {\"id\":\"chatcmpl-abcdef0123456789\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1700000000,\"model\":\"mock-model\",\"choices\":["

enum { REQUESTS, SENT, COUNTERS };
enum { CHAT, MESSAGES, RESPONSES, GEMINI, DIALECTS };

static const char *const dialects[DIALECTS] = {"chat", "messages", "responses", "gemini"};

typedef struct {
    int fd, chunks, dialect;
    long delay_us;
} Port;

typedef struct {
    int fd, left, generation; /* left: events still to send, the end included */
    const Port *port;
    char *buf;
    size_t len, cap;
} Conn;

typedef struct {
    uint64_t due;
    int fd, generation; /* a timer whose generation is not its connection's is stale */
} Timer;

static uint64_t *counters;
static Conn *conns[MAX_FDS];
static Port ports[MAX_PORTS];
static int port_count;
static Timer heap[MAX_TIMERS];
static int heap_size, generations, epoll_fd, timer_fd;
static char replies[DIALECTS][4096];
static int reply_len[DIALECTS];

static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void heap_push(Timer timer) {
    if (heap_size == MAX_TIMERS) {
        fprintf(stderr, "mock: too many timers\n");
        exit(1);
    }
    int i = heap_size++;
    while (i) {
        int parent = (i - 1) / 2;
        if (heap[parent].due <= timer.due) break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = timer;
}

static Timer heap_pop(void) {
    Timer first = heap[0], last = heap[--heap_size];
    int i = 0;
    for (;;) {
        int child = 2 * i + 1;
        if (child >= heap_size) break;
        if (child + 1 < heap_size && heap[child + 1].due < heap[child].due) child++;
        if (heap[child].due >= last.due) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return first;
}

static void arm_timer(void) {
    struct itimerspec at = {0};
    if (heap_size) {
        at.it_value.tv_sec = (time_t)(heap[0].due / 1000000000u);
        at.it_value.tv_nsec = (long)(heap[0].due % 1000000000u);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, 0);
}

static int write_all(int fd, const char *data, size_t n) {
    while (n) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent < 0) {
            struct pollfd p = {fd, POLLOUT, 0};
            if (errno != EAGAIN || poll(&p, 1, WRITE_PATIENCE_MS) != 1) return -1;
            continue;
        }
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* What stands around the events: before the first one, and behind the last one. */
#define RESPONSE "{\"id\":\"resp_abcdef0123456789\",\"object\":\"response\",\"created_at\":1700000000,\"model\":\"mock-model\",\"status\":"
#define ITEM "{\"id\":\"msg_abcdef\",\"type\":\"message\",\"role\":\"assistant\",\"status\":"
static const char *const begin_events[DIALECTS] = {
    "",
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_abcdef0123456789\",\"type\":\"message\","
    "\"role\":\"assistant\",\"model\":\"mock-model\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":" RESPONSE "\"in_progress\",\"output\":[]}}\n\n"
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,"
    "\"item\":" ITEM "\"in_progress\",\"content\":[]}}\n\n"
    "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\"sequence_number\":2,\"item_id\":\"msg_abcdef\","
    "\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n",
    "",
};

static int in_chunk(char *out, const char *events, int n) {
    return sprintf(out, "%x\r\n%.*s\r\n", (unsigned)n, n, events);
}

static int format_begin(char *out, int dialect) {
    int n = (int)strlen(begin_events[dialect]);
    return n ? in_chunk(out, begin_events[dialect], n) : 0;
}

static int format_chunk(char *out, int dialect) {
    char event[512];
    static const char *const forms[DIALECTS] = {
        EVENT_HEAD "{\"index\":0,\"delta\":{\"content\":\"TS#%016llu; \"},\"finish_reason\":null}]}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"TS#%016llu; \"}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"msg_abcdef\","
        "\"output_index\":0,\"content_index\":0,\"delta\":\"TS#%016llu; \",\"logprobs\":[]}\n\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"TS#%016llu; \"}],\"role\":\"model\"},\"index\":0}],"
        "\"modelVersion\":\"mock-model\",\"responseId\":\"abcdef\"}\n\n",
    };
    int n = sprintf(event, forms[dialect], (unsigned long long)now_ns());
    return in_chunk(out, event, n);
}

static int format_end(char *out, int chunks, int dialect) {
    char events[2048];
    int n = 0;
    switch (dialect) {
    case CHAT:
        n = sprintf(events,
                    EVENT_HEAD "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" EVENT_HEAD
                               "],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":%d,"
                               "\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
                    chunks, 200 + chunks);
        break;
    case MESSAGES:
        n = sprintf(events,
                    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                    "\"usage\":{\"input_tokens\":200,\"output_tokens\":%d}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                    chunks);
        break;
    case RESPONSES:
        n = sprintf(events,
                    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"sequence_number\":4,"
                    "\"item_id\":\"msg_abcdef\",\"output_index\":0,\"content_index\":0,\"text\":\"x\",\"logprobs\":[]}\n\n"
                    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":5,\"output_index\":0,"
                    "\"item\":" ITEM "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"x\",\"annotations\":[]}]}}\n\n"
                    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":6,\"response\":" RESPONSE
                    "\"completed\",\"output\":[" ITEM "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"x\",\"annotations\":[]}]}],"
                    "\"usage\":{\"input_tokens\":200,\"output_tokens\":%d,\"total_tokens\":%d}}}\n\n",
                    chunks, 200 + chunks);
        break;
    case GEMINI:
        n = sprintf(events,
                    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
                    "\"usageMetadata\":{\"promptTokenCount\":200,\"candidatesTokenCount\":%d,\"totalTokenCount\":%d},"
                    "\"modelVersion\":\"mock-model\",\"responseId\":\"abcdef\"}\n\n",
                    chunks, 200 + chunks);
        break;
    }
    n = in_chunk(out, events, n);
    return n + sprintf(out + n, "0\r\n\r\n");
}

static void format_reply(int dialect) {
    char text[800], body[3072];
    int k = 0;
    while (k < 560) k += sprintf(text + k, "The quick brown fox jumps over the lazy dog; line %d.\\n", k);
    static const char *const forms[DIALECTS] = {
        "{\"id\":\"chatcmpl-abcdef0123456789\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"mock-model\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":120,\"total_tokens\":320,"
        "\"prompt_tokens_details\":{\"cached_tokens\":64,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},"
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\"}",
        "{\"id\":\"msg_abcdef0123456789\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock-model\","
        "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":136,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":64,\"output_tokens\":120}}",
        RESPONSE "\"completed\",\"error\":null,\"incomplete_details\":null,\"output\":[" ITEM "\"completed\",\"content\":[{\"type\":\"output_text\","
        "\"text\":\"%s\",\"annotations\":[],\"logprobs\":[]}]}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],"
        "\"usage\":{\"input_tokens\":200,\"input_tokens_details\":{\"cached_tokens\":64},\"output_tokens\":120,"
        "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":320}}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
        "\"usageMetadata\":{\"promptTokenCount\":200,\"cachedContentTokenCount\":64,\"candidatesTokenCount\":120,\"totalTokenCount\":320},"
        "\"modelVersion\":\"mock-model\",\"responseId\":\"abcdef0123456789\"}",
    };
    int n = sprintf(body, forms[dialect], text);
    reply_len[dialect] = sprintf(replies[dialect], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
}

static void close_conn(Conn *c) {
    close(c->fd);
    conns[c->fd] = NULL;
    free(c->buf);
    free(c);
}

static int send_burst(Conn *c) {
    static char out[MAX_CHUNKS * 320 + 8192];
    int n = sprintf(out, "%s", STREAM_HEAD), dialect = c->port->dialect;
    n += format_begin(out + n, dialect);
    for (int i = 0; i < c->port->chunks; i++) n += format_chunk(out + n, dialect);
    n += format_end(out + n, c->port->chunks, dialect);
    counters[SENT] += (uint64_t)c->port->chunks;
    return write_all(c->fd, out, (size_t)n);
}

static int start_paced(Conn *c) {
    c->left = c->port->chunks + 1;
    c->generation = ++generations;
    heap_push((Timer){now_ns() + (uint64_t)c->port->delay_us * 1000, c->fd, c->generation});
    arm_timer();
    char out[4096];
    int n = sprintf(out, "%s", STREAM_HEAD);
    n += format_begin(out + n, c->port->dialect);
    return write_all(c->fd, out, (size_t)n);
}

/* Length of the first complete request in the buffer; 0 when more bytes are needed. */
static size_t request_size(Conn *c, size_t *head_len) {
    char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);
    if (!end) return 0;
    *head_len = (size_t)(end + 4 - c->buf);
    *end = 0; /* terminate the head for strcasestr, put back below */
    char *length = strcasestr(c->buf, "\r\ncontent-length:");
    char *chunked = length ? NULL : strcasestr(c->buf, "\r\ntransfer-encoding: chunked");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    *end = '\r';
    if (chunked) {
        char *last = memmem(c->buf + *head_len, c->len - *head_len, "\r\n0\r\n\r\n", 7);
        if (!last) return 0;
        body = (size_t)(last + 7 - (c->buf + *head_len));
    }
    return c->len < *head_len + body ? 0 : *head_len + body;
}

/* Answers every complete request in the buffer; -1 when the connection failed. */
static int answer(Conn *c) {
    size_t size, head;
    while (c->len && (size = request_size(c, &head))) {
        const char *body = c->buf + head;
        counters[REQUESTS]++;
        int dialect = c->port->dialect;
        int stream = memmem(body, size - head, "\"stream\":true", 13) || memmem(body, size - head, "\"stream\": true", 14) ||
                     (dialect == GEMINI && memmem(c->buf, head, ":stream", 7));
        int failed = !stream            ? write_all(c->fd, replies[dialect], (size_t)reply_len[dialect])
                     : c->port->delay_us ? start_paced(c)
                                         : send_burst(c);
        if (failed) return -1;
        memmove(c->buf, c->buf + size, c->len - size);
        c->len -= size;
    }
    return 0;
}

static void on_timer(void) {
    uint64_t expirations, t = now_ns();
    char out[4096];
    if (read(timer_fd, &expirations, sizeof expirations) < 0) return;
    while (heap_size && heap[0].due <= t) {
        Timer timer = heap_pop();
        Conn *c = conns[timer.fd];
        if (!c || c->generation != timer.generation) continue;
        int dialect = c->port->dialect;
        int n = c->left > 1 ? format_chunk(out, dialect) : format_end(out, c->port->chunks, dialect);
        counters[SENT] += c->left > 1;
        c->left--;
        if (write_all(c->fd, out, (size_t)n))
            close_conn(c);
        else if (c->left)
            heap_push((Timer){timer.due + (uint64_t)c->port->delay_us * 1000, c->fd, c->generation});
    }
    arm_timer();
}

static void on_accept(const Port *port) {
    int fd, on = 1;
    while ((fd = accept4(port->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Conn *c = calloc(1, sizeof *c);
        *c = (Conn){.fd = fd, .port = port, .cap = 8192, .buf = malloc(8192)};
        conns[fd] = c;
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
}

static void on_readable(Conn *c) {
    if (c->cap - c->len < 4096 && c->cap < MAX_REQUEST) c->buf = realloc(c->buf, c->cap *= 4);
    ssize_t n = read(c->fd, c->buf + c->len, c->cap - c->len);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) c->len += (size_t)n;
    if (n <= 0 || answer(c)) close_conn(c);
}

static int listen_on(const char *spec) {
    Port *p = &ports[port_count];
    int number, on = 1;
    char dialect[16] = "chat";
    int found = port_count < MAX_PORTS ? sscanf(spec, "%d:%d:%ld:%15s", &number, &p->chunks, &p->delay_us, dialect) : 0;
    while (p->dialect < DIALECTS && strcmp(dialect, dialects[p->dialect])) p->dialect++;
    if (found < 3 || p->dialect == DIALECTS || p->chunks < 0 || p->chunks > MAX_CHUNKS || p->delay_us < 0) {
        fprintf(stderr, "mock: bad argument %s, expected PORT:CHUNKS:DELAY_US[:DIALECT]\n", spec);
        return -1;
    }
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(p->fd, (struct sockaddr *)&at, sizeof at) || listen(p->fd, 8192)) {
        perror(spec);
        return -1;
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = p->fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd, &ev);
    port_count++;
    return 0;
}

static const Port *listener(int fd) {
    for (int i = 0; i < port_count; i++)
        if (ports[i].fd == fd) return &ports[i];
    return NULL;
}

static void map_counters(const char *file) {
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, COUNTERS * sizeof *counters)) {
        perror(file);
        exit(1);
    }
    counters = mmap(NULL, COUNTERS * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (counters == MAP_FAILED) {
        perror(file);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: mock COUNTERS_FILE PORT:CHUNKS:DELAY_US[:DIALECT] ...\n");
        return 2;
    }
    map_counters(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    for (int dialect = 0; dialect < DIALECTS; dialect++) format_reply(dialect);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = timer_fd}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &ev);
    for (int i = 2; i < argc; i++)
        if (listen_on(argv[i])) return 1;
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            const Port *port;
            if (fd == timer_fd)
                on_timer();
            else if ((port = listener(fd)))
                on_accept(port);
            else if (conns[fd])
                on_readable(conns[fd]);
        }
    }
}
