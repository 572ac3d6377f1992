/* streams.c - keeps N server-sent-event streams open against a gateway and measures each event's delay.
 *
 *   streams PORT PATH STREAMS WARM_S SECS BODY_FILE HEADERS COUNTERS_FILE OPEN_PER_10MS
 *
 * POSTs BODY_FILE to 127.0.0.1:PORT PATH on STREAMS keep-alive connections, opened OPEN_PER_10MS at a
 * time; a finished stream sends the request again. HEADERS: "Name: value\r\n" lines, may be empty.
 * Runs WARM_S + SECS seconds; delays are kept for the last SECS only. The delay of an event is
 * now - its "TS#<16 digits>;" (see mock.c), in us.
 *
 * COUNTERS_FILE is a shared map of six uint64, readable while the program runs:
 *   0 events, 1 finished streams, 2 open connections, 3 errors, 4 connections closed by the gateway,
 *   5 connections on which the first event has arrived.
 * An error is a failed connect, a status other than 200 (that connection is given up), or a stream
 * cut before [DONE]. The end prints one JSON line: the counters and the percentiles.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 8000000
#define MARK "TS#"
#define MARK_LEN 19 /* MARK and 16 digits */
#define CARRY 22    /* enough to see a mark or [DONE] that two reads share */

enum { EVENTS, FINISHED, OPEN, ERRORS, CLOSED, FLOWING, COUNTERS };

typedef struct {
    int fd, carried, status_seen, flowing;
    enum { WAITING, EVENTS_SEEN, DONE_SEEN } state;
    uint64_t asked_at;
    char carry[CARRY];
} Stream;

typedef struct {
    uint32_t *us;
    size_t n;
} Samples;

static uint64_t *counters, end_ns, keep_from_ns;
static char *request;
static size_t request_len;
static int port, epoll_fd;
static Samples delays, first_events;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void keep(Samples *s, uint64_t from, uint64_t to) {
    if (to >= keep_from_ns && s->n < MAX_SAMPLES) s->us[s->n++] = to > from ? (uint32_t)((to - from) / 1000) : 0;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static unsigned percentile(const Samples *s, double p) { return s->n ? s->us[(size_t)((double)(s->n - 1) * p)] : 0; }

static void ask(Stream *s) {
    s->asked_at = now_ns();
    s->status_seen = s->carried = 0;
    s->state = WAITING;
    for (size_t sent = 0; sent < request_len;) {
        ssize_t n = send(s->fd, request + sent, request_len - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN && now_ns() < end_ns) {
            usleep(100);
        } else {
            counters[ERRORS]++;
            return;
        }
    }
}

static void open_stream(Stream *s) {
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to)) {
        if (!counters[ERRORS]++) perror("streams: connect");
        if (s->fd >= 0) close(s->fd);
        return;
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev);
    counters[OPEN]++;
    ask(s);
}

static void close_stream(Stream *s) {
    close(s->fd);
    counters[OPEN]--;
    counters[FLOWING] -= (uint64_t)s->flowing;
    s->flowing = 0;
}

static void on_closed(Stream *s) {
    close_stream(s);
    counters[CLOSED]++;
    counters[s->state == DONE_SEEN ? FINISHED : ERRORS]++;
    if (now_ns() < end_ns) open_stream(s);
}

static void on_readable(Stream *s) {
    static char buf[1 << 18];
    memcpy(buf, s->carry, (size_t)s->carried);
    ssize_t n = read(s->fd, buf + s->carried, sizeof buf - (size_t)s->carried - 1);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        on_closed(s);
        return;
    }
    uint64_t t = now_ns();
    char *from = buf, *end = buf + s->carried + n, *mark;
    if (!s->status_seen) {
        s->status_seen = 1;
        if (n < 12 || memcmp(buf, "HTTP/1.1 200", 12)) {
            *end = 0;
            if (!counters[ERRORS]++) fprintf(stderr, "streams: not 200: %.600s\n", buf);
            close_stream(s);
            return;
        }
    }
    while ((mark = memmem(from, (size_t)(end - from), MARK, 3)) && mark + MARK_LEN <= end) {
        keep(&delays, strtoull(mark + 3, NULL, 10), t);
        if (s->state == WAITING) keep(&first_events, s->asked_at, t);
        s->state = EVENTS_SEEN;
        counters[EVENTS]++;
        from = mark + MARK_LEN;
    }
    if (!s->flowing && s->state == EVENTS_SEEN) {
        s->flowing = 1;
        counters[FLOWING]++;
    }
    if (memmem(buf, (size_t)(end - buf), "[DONE]", 6)) s->state = DONE_SEEN;
    if (s->state == DONE_SEEN && end - buf >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5)) {
        counters[FINISHED]++;
        ask(s);
        return;
    }
    s->carried = end - from > CARRY ? CARRY : (int)(end - from);
    memcpy(s->carry, end - s->carried, (size_t)s->carried);
}

static void read_request(const char *path, const char *file, const char *headers) {
    FILE *f = fopen(file, "rb");
    if (!f || fseek(f, 0, SEEK_END)) {
        perror(file);
        exit(1);
    }
    size_t size = (size_t)ftell(f);
    rewind(f);
    request = malloc(size + strlen(headers) + strlen(path) + 256);
    request_len = (size_t)sprintf(
        request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n", path,
        port, headers, size);
    request_len += fread(request + request_len, 1, size, f);
    fclose(f);
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
    if (argc != 10) {
        fprintf(stderr, "usage: streams PORT PATH STREAMS WARM_S SECS BODY_FILE HEADERS COUNTERS_FILE OPEN_PER_10MS\n");
        return 2;
    }
    port = atoi(argv[1]);
    int count = atoi(argv[3]), opened = 0, per_step = atoi(argv[9]);
    double warm = atof(argv[4]), secs = atof(argv[5]);
    read_request(argv[2], argv[6], argv[7]);
    map_counters(argv[8]);
    delays.us = malloc(MAX_SAMPLES * sizeof(uint32_t));
    first_events.us = malloc(MAX_SAMPLES * sizeof(uint32_t));
    epoll_fd = epoll_create1(0);
    Stream *all = calloc((size_t)count, sizeof(Stream));
    uint64_t start = now_ns(), next_step = start;
    keep_from_ns = start + (uint64_t)(warm * 1e9);
    end_ns = keep_from_ns + (uint64_t)(secs * 1e9);
    struct epoll_event events[256];
    while (now_ns() < end_ns) {
        if (opened < count && now_ns() >= next_step) {
            for (int i = 0; i < per_step && opened < count; i++) open_stream(&all[opened++]);
            next_step = now_ns() + 10000000;
        }
        int n = epoll_wait(epoll_fd, events, 256, opened < count ? 5 : 100);
        for (int i = 0; i < n; i++) on_readable(events[i].data.ptr);
    }
    qsort(delays.us, delays.n, sizeof(uint32_t), by_value);
    qsort(first_events.us, first_events.n, sizeof(uint32_t), by_value);
    printf("{\"events\":%lu,\"finished\":%lu,\"open\":%lu,\"errors\":%lu,\"closed\":%lu,\"flowing\":%lu,"
           "\"delay_p50_us\":%u,\"delay_p99_us\":%u,\"first_p50_us\":%u,\"first_p99_us\":%u}\n",
           counters[EVENTS], counters[FINISHED], counters[OPEN], counters[ERRORS], counters[CLOSED], counters[FLOWING],
           percentile(&delays, .5), percentile(&delays, .99), percentile(&first_events, .5), percentile(&first_events, .99));
}
