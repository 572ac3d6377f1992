/* calls.c - plain calls on N keep-alive connections for as long as the rig wants, with the time of each answer.
 *
 *   calls PORT PATH CONNECTIONS PER_SECOND BODY_FILE HEADERS SHARED_FILE SAMPLES_FILE
 *
 * PER_SECOND 0: a closed loop, each connection calls again once it is answered. Otherwise so many calls a second fall due,
 * at random distances (0.5 to 1.5 of the mean), and a call is as late as its answer is after that moment, also when all
 * connections were busy. HEADERS: "Name: value\r\n" lines, may be empty.
 *
 * SHARED_FILE is a map of four uint64: 0 answers so far, 1 errors, 2 the slice of time that the rig counts now (0: none),
 * 3 set to 1 by the rig to end. The end writes to SAMPLES_FILE two uint32 for each call that was begun in a slice: the
 * slice, and microseconds until the last byte of its answer. An error is a failed connect, a status other than 200, an
 * answer without Content-Length, or a connection closed before its answer; that connection is given up. One that is
 * closed while it has nothing to do is opened again.
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 16000000
#define MOST_BYTES 65536

enum { ANSWERS, ERRORS, SLICE, END, SHARED };

typedef struct {
    int fd, asked;
    uint32_t slice;
    uint64_t due;
    size_t got;
    char answer[MOST_BYTES + 1];
} Call;

typedef struct {
    uint32_t slice, us;
} Sample;

static volatile uint64_t *shared;
static char *request;
static size_t request_len, sample_count;
static Sample *samples;
static int port, epoll_fd;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void give_up(Call *c, const char *why) {
    if (!shared[ERRORS]++) fprintf(stderr, "calls: %s: %.600s\n", why, c->answer);
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void ask(Call *c, uint64_t due) {
    c->asked = 1;
    c->due = due;
    c->slice = (uint32_t)shared[SLICE];
    c->got = 0;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) give_up(c, "send");
}

static void open_connection(Call *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        give_up(c, strerror(errno));
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

/* Reads what is there. 1: the answer is whole. */
static int answered(Call *c) {
    ssize_t n = read(c->fd, c->answer + c->got, MOST_BYTES - c->got);
    if (n < 0 && errno == EAGAIN) return 0;
    c->answer[c->got + (n > 0 ? (size_t)n : 0)] = 0;
    if (n <= 0 && !c->asked) {
        close(c->fd);
        open_connection(c);
        return 0;
    }
    if (n <= 0) {
        give_up(c, "closed");
        return 0;
    }
    c->got += (size_t)n;
    char *body = strstr(c->answer, "\r\n\r\n");
    if (!body) return 0;
    char *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (strncmp(c->answer, "HTTP/1.1 200", 12) || !length || length > body) {
        give_up(c, "not 200 with its length");
        return 0;
    }
    return c->got >= (size_t)(body + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static void keep(Call *c) {
    c->asked = 0;
    shared[ANSWERS]++;
    if (!c->slice || sample_count == MAX_SAMPLES) return;
    samples[sample_count++] = (Sample){c->slice, (uint32_t)((now_ns() - c->due) / 1000)};
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

static void map_shared(const char *file) {
    int fd = open(file, O_RDWR);
    if (fd < 0) {
        perror(file);
        exit(1);
    }
    shared = mmap(NULL, SHARED * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        perror(file);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: calls PORT PATH CONNECTIONS PER_SECOND BODY_FILE HEADERS SHARED_FILE SAMPLES_FILE\n");
        return 2;
    }
    port = atoi(argv[1]);
    int count = atoi(argv[3]), per_second = atoi(argv[4]), free_count = 0;
    read_request(argv[2], argv[5], argv[6]);
    map_shared(argv[7]);
    samples = malloc(MAX_SAMPLES * sizeof *samples);
    epoll_fd = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event on_time = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &on_time);
    Call *all = calloc((size_t)count, sizeof *all), **idle = calloc((size_t)count, sizeof *idle);
    for (int i = 0; i < count; i++) {
        open_connection(&all[i]);
        if (all[i].fd < 0) continue;
        if (per_second) idle[free_count++] = &all[i];
        else ask(&all[i], now_ns());
    }
    uint64_t due = now_ns(), mean = per_second ? 1000000000u / (uint64_t)per_second : 0;
    while (!shared[END]) {
        while (per_second && free_count && now_ns() >= due) {
            ask(idle[--free_count], due);
            due += mean / 2 + mean * (uint64_t)(random() % 1000) / 1000;
        }
        if (per_second && free_count) {
            struct itimerspec at = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        int n = epoll_wait(epoll_fd, events, 256, 50);
        for (int i = 0; i < n; i++) {
            Call *c = events[i].data.ptr;
            uint64_t fired;
            if (!c) {
                if (read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN) perror("timer");
            } else if (answered(c)) {
                keep(c);
                if (per_second) idle[free_count++] = c;
                else ask(c, now_ns());
            }
        }
    }
    FILE *out = fopen(argv[8], "wb");
    if (!out || fwrite(samples, sizeof *samples, sample_count, out) != sample_count || fclose(out)) {
        perror(argv[8]);
        return 1;
    }
    return 0;
}
