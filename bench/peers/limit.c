/* The limit: a C echo server on epoll that does what the question needs and nothing else.
 *
 * Every comparison needs to know how far there is to go.  One thread, level-triggered epoll, one recv and one send
 * for each readiness, no allocation after the connection is there.  It is what a Python server is measured against,
 * and what a load generator must be able to saturate.
 *
 *     limit raw|line|framed|udp [PORT]        prints the port on which it listens, then serves until it is killed
 *
 * raw echoes every chunk; line and framed echo whole messages only (a line ends with LF, a frame begins with its
 * length in four bytes, big endian) and keep what is incomplete; udp echoes datagrams, in batches.  Addresses are
 * those of 127.0.0.1.
 *
 *     cc -O2 -o limit bench/peers/limit.c
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAW, LINE, FRAMED };

#define CHUNK (256 * 1024)            /* received at once */
#define LARGEST (4 + 1024 * 1024)     /* the longest message that is waited for, with its header */
#define BATCH 64                      /* datagrams in one system call */

/* One connection: `held` bytes received and not yet echoed; the first `whole` of them may go out. */
typedef struct peer {
    struct peer *next;
    int fd, wants_room;
    size_t held, whole;
    char data[LARGEST + CHUNK];
} peer;

static int epoll_fd, mode;
static peer *unused;   /* closed, and kept: to map and unmap a megabyte costs more than a connection */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data = {.ptr = data}};

    if (epoll_ctl(epoll_fd, operation, fd, &event) != 0)
        die("epoll_ctl");
}

/* Move p->whole over all complete messages; false if a frame is too long. */
static int cut(peer *p)
{
    if (mode == RAW) {
        p->whole = p->held;
    } else if (mode == LINE) {
        const char *last = memrchr(p->data + p->whole, '\n', p->held - p->whole);
        if (last)
            p->whole = (size_t)(last - p->data) + 1;
    } else {
        while (p->held - p->whole >= 4) {
            uint32_t length;
            memcpy(&length, p->data + p->whole, 4);
            const size_t size = 4 + (size_t)ntohl(length);
            if (size > LARGEST)
                return 0;
            if (size > p->held - p->whole)
                break;
            p->whole += size;
        }
    }
    return 1;
}

/* Echo what is whole; false if the connection is broken. */
static int echo(peer *p)
{
    ssize_t size = 0;

    if (p->whole) {
        size = send(p->fd, p->data, p->whole, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno != EAGAIN)
            return 0;
        if (size > 0) {
            p->held -= (size_t)size;
            p->whole -= (size_t)size;
            if (p->held)
                memmove(p->data, p->data + size, p->held);
        }
    }
    if (p->wants_room != (p->whole != 0)) {
        /* While the client does not read its replies, nothing more is read from it. */
        p->wants_room = p->whole != 0;
        watch(EPOLL_CTL_MOD, p->fd, p->wants_room ? EPOLLOUT : EPOLLIN, p);
    }
    return 1;
}

static int serve(peer *p, uint32_t events)
{
    if (p->wants_room)
        return (events & EPOLLERR) == 0 && echo(p);
    const ssize_t size = recv(p->fd, p->data + p->held, sizeof p->data - p->held, MSG_DONTWAIT);

    if (size <= 0)
        return size < 0 && errno == EAGAIN;
    p->held += (size_t)size;
    return cut(p) && echo(p);
}

static void take(int listener)
{
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int on = 1;

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer *p = unused;
    if (p)
        unused = p->next;
    else
        p = malloc(sizeof *p);   /* the kernel gives the pages only as they are touched */
    if (!p)
        die("malloc");
    p->fd = fd;
    p->wants_room = 0;
    p->held = p->whole = 0;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, p);
}

static void serve_streams(int listener)
{
    struct epoll_event events[256];

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        const int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            peer *p = events[i].data.ptr;
            if (!p) {
                take(listener);
            } else if (!serve(p, events[i].events)) {
                close(p->fd);
                p->next = unused;
                unused = p;
            }
        }
    }
}

static void serve_datagrams(int fd)
{
    static char data[BATCH][65536];
    static struct sockaddr_in from[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];

    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data[i], sizeof data[i]};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i],
                                                  .msg_iov = &vectors[i], .msg_iovlen = 1};
        }
        const int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++)
            vectors[i].iov_len = messages[i].msg_len;
        for (int sent = 0; sent < count;) {
            const int more = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);
            sent += more > 0 ? more : 1;   /* one that cannot be sent is lost, as datagrams are */
        }
    }
}

int main(int argc, char **argv)
{
    const char *const modes[] = {"raw", "line", "framed", "udp"};
    const int port = argc > 2 ? atoi(argv[2]) : 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    const int on = 1;

    for (mode = 0; mode < 4 && (argc < 2 || strcmp(argv[1], modes[mode]) != 0); mode++)
        ;
    if (mode == 4) {
        fprintf(stderr, "usage: %s raw|line|framed|udp [PORT]\n", argv[0]);
        return 2;
    }
    const int fd = socket(AF_INET, (mode == 3 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || (mode != 3 && listen(fd, 4096) != 0))
        die("cannot listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    if (mode == 3)
        serve_datagrams(fd);
    serve_streams(fd);
    return 0;
}
