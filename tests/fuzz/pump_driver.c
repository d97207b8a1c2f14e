/* The pump under the sanitizers: real sockets, random traffic, every buffer exactly as large as it is said to be.
 *
 *     cc -std=c11 -g -fsanitize=address,undefined -I _accel tests/fuzz/pump_driver.c -o driver && ./driver SEED ROUNDS
 *
 * Eight streams carry a pattern in which each byte follows from its position, so a byte that is lost, doubled or
 * somebody else's shows at once.  Some of them are cut into frames, or framed, by random formats, which the pattern
 * obeys or breaks as it happens.  Arena, share and tables change in every round; some descriptors are passed over,
 * some lie beyond the table, peers come and go.  Exit status 0, or abort() at the first thing that is wrong.
 */
#define _GNU_SOURCE
#define SCAN_PROGRAM_SIZE 400 /* so that it is full often */
#include "pack.c"
#include "pump.c"
#include "scan.c"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS = 8, LARGEST = 20000, KNOWN = 1024, FORMATS = 4, PIECES = 40 };

typedef struct {
    int ours, theirs;
    uint64_t written, arrived; /* by the peer, and seen by us */
    char *sent;                /* by us, as bytes on the wire */
    size_t sent_size, heard;   /* and how many of them the peer has seen */
} stream;

static uint64_t state;
static pump_format formats[FORMATS];

static uint64_t below(uint64_t limit)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % limit;
}

static void demand(int truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "pump_driver: %s\n", what);
        abort();
    }
}

static void *exact(size_t size)
{
    void *block = malloc(size ? size : 1);

    demand(block != NULL, "memory");
    return block;
}

/* Often small, so that there are lawful lengths in it. */
static char pattern(int id, uint64_t position)
{
    return (char)(position % 3 ? 0 : position * 31 + (position >> 8) + (uint64_t)id * 7);
}

static void make_formats(void)
{
    formats[1] = (pump_format){.kind = PUMP_LENGTH, .pack = {.size = 1},
                               .layout = {.size = 1, .shortest = 1, .strip = 1, .low = 0, .high = 200}};
    formats[2] = (pump_format){.kind = PUMP_LENGTH, .pack = {.size = 2, .bias = 3, .little = 1},
                               .layout = {.size = 2, .shortest = 3, .strip = 2, .low = 1, .high = 300, .little = 1}};
    formats[3] = (pump_format){.kind = PUMP_VARINT, .limit = 1000};
}

static void open_stream(stream *s, int epoll_fd)
{
    int pair[2], small = 1;
    struct epoll_event event = {.events = EPOLLIN};

    demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
    *s = (stream){.ours = pair[0], .theirs = pair[1]};
    setsockopt(s->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* the least there is: parts are taken */
    event.data.fd = s->ours;
    demand(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->ours, &event) == 0, "epoll_ctl");
}

static void peer_writes(stream *s, int id)
{
    char data[LARGEST];
    const size_t size = 1 + below(sizeof data);

    for (size_t i = 0; i < size; i++)
        data[i] = pattern(id, s->written + i);
    const ssize_t done = send(s->theirs, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0)
        s->written += (uint64_t)done;
}

static void peer_reads(stream *s)
{
    char data[LARGEST];
    const ssize_t size = recv(s->theirs, data, sizeof data, MSG_DONTWAIT);

    if (size > 0) {
        demand(s->heard + (size_t)size <= s->sent_size, "nobody hears more than was sent");
        demand(memcmp(data, s->sent + s->heard, (size_t)size) == 0, "the peer hears what was sent");
        s->heard += (size_t)size;
    }
}

/* Read the program as struct does: how many bytes it goes over, and how many pieces it makes. */
static void read_program(const scan_cuts *cuts, size_t *bytes, size_t *pieces)
{
    size_t number = 0;

    *bytes = *pieces = 0;
    for (size_t i = 0; i < cuts->length; i++) {
        if (cuts->program[i] >= '0' && cuts->program[i] <= '9') {
            number = number * 10 + (size_t)(cuts->program[i] - '0');
            continue;
        }
        demand(cuts->program[i] == 'x' || cuts->program[i] == 's', "the program has two letters");
        *bytes += number;
        *pieces += cuts->program[i] == 's';
        number = 0;
    }
}

static void look_at(stream *streams, const pump_place *place)
{
    size_t start = 0, pieces = 0, bytes, made;
    int uniform = 1;

    for (size_t row = 0; row < place->arrival_count; row++) {
        const pump_arrival *arrival = &place->arrivals[row];
        const int64_t fd = arrival->fd, size = arrival->size, count = arrival->count;

        demand((size_t)fd < place->known && place->marks[fd] == arrival->format + 1, "only what is marked arrives");
        if (size <= 0) {
            demand(count == 0, "an end has no pieces");
            uniform = 0;
            continue;
        }
        demand((size_t)size <= place->share && start + (size_t)size <= place->room, "it stays in its place");
        demand((count > 0 ? count : -count) <= (int64_t)place->frames, "no more frames are cut than are wanted");
        pieces += (size_t)(count > 0 ? count : 1 - count);
        uniform &= count == 0 || count == 1;
        for (int id = 0; id < STREAMS; id++)
            if (streams[id].ours == fd) {
                for (int64_t i = 0; i < size; i++)
                    demand(place->arena[start + (size_t)i] == pattern(id, streams[id].arrived + (uint64_t)i),
                           "every byte in order");
                streams[id].arrived += (uint64_t)size;
            }
        start += (size_t)size;
    }
    read_program(place->cuts, &bytes, &made);
    demand(bytes == start, "the program cuts all that has arrived");
    demand(made == pieces, "the program makes the pieces that were counted");
    demand(uniform == place->uniform, "arrivals are uniform when each is one piece");
}

/* Whatever epoll tells has a row, unless recv had nothing to give: nothing ready is passed over in silence. */
static void demand_all_told(const pump_place *place, const stream *streams, const int *was_ready)
{
    for (int id = 0; id < STREAMS; id++) {
        int told = 0;

        for (size_t row = 0; row < place->arrival_count; row++)
            told += place->arrivals[row].fd == streams[id].ours;
        for (size_t row = 0; row < place->readiness_count; row++)
            told += place->readiness[2 * row] == streams[id].ours;
        demand(told <= 1, "nothing is told twice");
        demand(told == was_ready[id], "what is ready is told, with its bytes or without");
    }
}

static void wait_once(stream *streams, int epoll_fd)
{
    const size_t known = below(2) ? KNOWN : (size_t)streams[below(STREAMS)].ours, room = 1 + below(3 * LARGEST);
    const size_t row = PUMP_EVENTS * sizeof(int64_t);
    unsigned char *marks = exact(known);
    int was_ready[STREAMS];
    pump_place place = {.marks = marks, .known = known, .formats = formats, .format_count = 1 + below(FORMATS),
                        .arena = exact(room), .room = room, .share = 1 + below(2 * LARGEST),
                        .frames = 1 + below(below(2) ? 5 : 100),
                        .cuts = exact(sizeof(scan_cuts)), .arrivals = exact(4 * row), .readiness = exact(2 * row)};

    for (size_t i = 0; i < known; i++)
        marks[i] = (unsigned char)below(FORMATS + 2);
    for (int id = 0; id < STREAMS; id++) {
        char byte;
        was_ready[id] = recv(streams[id].ours, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
    }
    demand(pump_wait(epoll_fd, 0, &place) == 0, "pump_wait");
    demand_all_told(&place, streams, was_ready);
    demand(place.arrival_count + place.readiness_count <= 2 * PUMP_EVENTS, "the tables hold it");
    look_at(streams, &place);
    free(marks), free(place.arena), free(place.cuts), free(place.arrivals), free(place.readiness);
}

/* One payload behind its length, as the format says; returns its size on the wire. */
static size_t frame(const pump_format *format, const char *payload, size_t size, char *wire)
{
    size_t used = 0;

    if (format->kind == PUMP_LENGTH)
        for (size_t i = 0; i < format->pack.size; i++) {
            const size_t place = format->pack.little ? i : format->pack.size - 1 - i;
            wire[used++] = (char)((size + format->pack.bias) >> (8 * place));
        }
    if (format->kind == PUMP_VARINT) {
        size_t rest = size;
        for (; rest >= 128; rest >>= 7)
            wire[used++] = (char)(rest | 128);
        wire[used++] = (char)rest;
    }
    memcpy(wire + used, payload, size);
    return used + size;
}

/* What is handed to pump_send, and what should come of it. */
typedef struct {
    size_t count, pieces, total, needed;
    pump_posting *rows;
    uint64_t *sizes;
    char *payloads, *wires[STREAMS];
    size_t lengths[STREAMS];
    int ids[STREAMS];
} parcel;

/* Let row `i` carry some payloads for a stream, none if an earlier row has that stream already. */
static void fill_row(parcel *p, size_t i, const stream *streams)
{
    const int id = (int)below(STREAMS), number = (int)below(FORMATS);
    const pump_format *format = &formats[number];
    size_t own = 1 + below(PIECES - 1);

    for (size_t before = 0; before < i; before++)
        if (p->ids[before] == id)
            own = 0;
    p->ids[i] = id;
    p->rows[i] = (pump_posting){.fd = streams[id].ours, .format = number, .count = (int64_t)own};
    p->wires[i] = exact(PIECES * (250 + 10));
    p->lengths[i] = 0;
    for (size_t piece = 0; piece < own; piece++) {
        const size_t size = below(250);
        for (size_t k = 0; k < size; k++)
            p->payloads[p->total + k] = (char)below(256);
        p->lengths[i] += frame(format, p->payloads + p->total, size, p->wires[i] + p->lengths[i]);
        p->sizes[p->pieces++] = size;
        p->total += size;
    }
    if (format->kind != PUMP_RAW)
        p->needed += p->lengths[i];
}

/* Make one number wrong, or none; returns whether all are right. */
static int is_honest(parcel *p, pump_place *place)
{
    const uint64_t lie = below(12);

    if (lie == 0 && p->needed)
        place->outgoing_room -= 1 + below(p->needed);
    else if (lie == 1)
        p->rows[below(p->count)].count += (int64_t)below(2) * 2 - 1;
    else if (lie == 2 && p->pieces)
        p->sizes[below(p->pieces)] += 1 + (below(2) ? below(100) : below(UINT64_MAX - LARGEST));
    else if (lie == 3)
        p->rows[below(p->count)].fd = below(2) ? -1 : (int64_t)INT_MAX + 1 + (int64_t)below(10);
    else if (lie == 4)
        p->rows[below(p->count)].format = below(2) ? -1 : FORMATS + (int64_t)below(10);
    else
        return 1;
    return 0;
}

static void check_sent(const parcel *p, stream *streams, int result)
{
    int short_of_all = 0;

    for (size_t i = 0; i < p->count; i++) {
        stream *s = &streams[p->ids[i]];
        const int64_t length = (int64_t)p->lengths[i], taken = p->rows[i].taken;

        demand(p->rows[i].count == length && taken <= length, "no more than asked");
        short_of_all += taken != length;
        if (taken <= 0)
            continue;
        s->sent = realloc(s->sent, s->sent_size + (size_t)taken);
        memcpy(s->sent + s->sent_size, p->wires[i], (size_t)taken);
        s->sent_size += (size_t)taken;
    }
    demand(result == short_of_all, "those of which not all was taken are counted");
}

/* A copy in a block of exactly its size, in the place of a roomy one. */
static void *trimmed(void *block, size_t size)
{
    void *copy = exact(size);

    memcpy(copy, block, size);
    free(block);
    return copy;
}

static void send_once(stream *streams)
{
    parcel p = {.count = 1 + below(STREAMS), .sizes = exact(STREAMS * PIECES * sizeof(uint64_t)),
                .payloads = exact(STREAMS * PIECES * 250)};

    p.rows = exact(p.count * sizeof *p.rows);
    for (size_t i = 0; i < p.count; i++)
        fill_row(&p, i, streams);
    p.sizes = trimmed(p.sizes, p.pieces * sizeof *p.sizes), p.payloads = trimmed(p.payloads, p.total);

    pump_place place = {.formats = formats, .format_count = FORMATS,
                        .outgoing = exact(p.needed), .outgoing_room = p.needed};
    const int honest = is_honest(&p, &place);
    const int result = pump_send(&place, p.rows, p.count, p.sizes, p.pieces, p.payloads, p.total);

    if (honest)
        check_sent(&p, streams, result);
    else
        demand(result == -EINVAL, "numbers that do not add up are refused");
    for (size_t i = 0; i < p.count; i++)
        free(p.wires[i]);
    free(p.rows), free(p.sizes), free(p.payloads), free(place.outgoing);
}

int main(int argc, char **argv)
{
    stream streams[STREAMS];
    const int epoll_fd = epoll_create1(0);
    const long rounds = argc > 2 ? atol(argv[2]) : 1000;

    state = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1) * 2654435761u + 1;
    make_formats();
    for (int id = 0; id < STREAMS; id++)
        open_stream(&streams[id], epoll_fd);
    for (long round = 0; round < rounds; round++) {
        const int id = (int)below(STREAMS);

        if (below(40) == 0) {
            close(streams[id].theirs), close(streams[id].ours);
            free(streams[id].sent);
            open_stream(&streams[id], epoll_fd);
        }
        peer_writes(&streams[id], id);
        wait_once(streams, epoll_fd);
        send_once(streams);
        for (int other = 0; other < STREAMS; other++)
            peer_reads(&streams[other]);
    }
    for (int id = 0; id < STREAMS; id++)
        free(streams[id].sent);
    printf("%ld rounds\n", rounds);
    return 0;
}
