/* Many short visits: connect, send one message, read it back, close, as fast as one core can.
 *
 *     visits PORT SECONDS SIZE        prints: visits seconds cpu_seconds wrong p50 p99 p99.9 (seconds)
 *
 * A framed message of SIZE bytes is compared byte by byte when it comes back.  BATCH visits are under way at a time:
 * all connect, all send, all read, all close.  Sockets block; on the loopback interface a connection is made by the
 * kernel alone, so nobody waits for the server's accept but its queue.
 *
 * Who closes first keeps the pair of addresses for a minute (TIME_WAIT).  So each batch comes from another address of
 * 127.0.0.0/8: there are enough of those.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16
#define MOST_VISITS 4000000
#define LARGEST 65536
#define HOSTS 250

static float *latencies;
static char message[4 + LARGEST], reply[4 + LARGEST];
static size_t message_size;
static long visits, wrong;

static double now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Connect from 127.0.1.host to the port; -1 if that fails. */
static int arrive(int port, int host)
{
    const int on = 1;
    const struct timeval patience = {5, 0};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100u + (unsigned)host)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) || connect(fd, (struct sockaddr *)&to, sizeof to)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void batch(int port, int host)
{
    int fds[BATCH];
    double starts[BATCH];

    for (int i = 0; i < BATCH; i++) {
        starts[i] = now(CLOCK_MONOTONIC);
        fds[i] = arrive(port, host);
    }
    for (int i = 0; i < BATCH; i++)
        if (fds[i] < 0 || send(fds[i], message, message_size, MSG_NOSIGNAL) != (ssize_t)message_size)
            wrong++;
    for (int i = 0; i < BATCH; i++) {
        if (fds[i] < 0)
            continue;
        const ssize_t size = recv(fds[i], reply, message_size, MSG_WAITALL);
        if (size != (ssize_t)message_size || memcmp(reply, message, message_size) != 0)
            wrong++;
        else if (visits < MOST_VISITS)
            latencies[visits++] = (float)(now(CLOCK_MONOTONIC) - starts[i]);
        close(fds[i]);
    }
}

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static double at(double share)
{
    return visits ? latencies[(long)(share * (double)(visits - 1))] : 0.0;
}

int main(int argc, char **argv)
{
    if (argc != 4 || atol(argv[3]) < 1 || atol(argv[3]) > LARGEST) {
        fprintf(stderr, "usage: %s PORT SECONDS SIZE\n", argv[0]);
        return 2;
    }
    const int port = atoi(argv[1]);
    const uint32_t length = htonl((uint32_t)atol(argv[3]));
    message_size = 4 + (size_t)atol(argv[3]);
    memcpy(message, &length, 4);
    for (size_t i = 4; i < message_size; i++)
        message[i] = (char)(i * 7 + 1);
    latencies = calloc(MOST_VISITS, sizeof *latencies);
    if (!latencies)
        return 1;
    const double start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), end = start + atof(argv[2]);
    for (int host = 1; now(CLOCK_MONOTONIC) < end && wrong < 1000; host = host % HOSTS + 1)
        batch(port, host);
    const double seconds = now(CLOCK_MONOTONIC) - start, used = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(latencies, (size_t)visits, sizeof *latencies, compare);
    printf("%ld %.9f %.9f %ld %.9f %.9f %.9f\n", visits, seconds, used, wrong, at(.5), at(.99), at(.999));
    return 0;
}
