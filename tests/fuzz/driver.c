/* A driver for machines without libFuzzer: random inputs from a seed, for a number of seconds.
 *
 * It knows no coverage, so it leans on the shape of the inputs instead: bytes that mean something in these formats
 * (small lengths, digits, ':' and ',', the ends of the ranges) are much more likely than others.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* xorshift64*, by Marsaglia and Vigna: small, and the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint8_t draw_byte(uint64_t *state)
{
    static const uint8_t telling[] = "0123456789::,,\0\0\0\0\1\2\3\4\x7f\x80\x81\xfe\xff";
    const uint64_t number = draw(state) >> 8;

    if (number % 8 == 0)
        return (uint8_t)(number >> 8);
    return telling[(number >> 8) % (sizeof telling - 1)];
}

int main(int argc, char **argv)
{
    static uint8_t bytes[1024];
    const long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 1;
    const time_t end = time(NULL) + seconds;
    unsigned long runs = 0;

    while (time(NULL) < end) {
        for (int i = 0; i < 1000; i++, runs++) {
            const size_t size = draw(&state) % (draw(&state) % 16 == 0 ? sizeof bytes : 96);
            for (size_t j = 0; j < size; j++)
                bytes[j] = draw_byte(&state);
            LLVMFuzzerTestOneInput(bytes, size);
        }
    }
    printf("Done %lu runs in %ld second(s)\n", runs, seconds);
    return 0;
}
