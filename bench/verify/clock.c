/* One contender takes the time from the system only. Real documents are valid for three hours, so the wall clock of this
 * process stands still at OK2CRY_BENCH_TIME (Unix seconds). Other clocks are the system's; they measure durations. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    const char *fixed = clock == CLOCK_REALTIME ? getenv("OK2CRY_BENCH_TIME") : NULL;
    if (fixed == NULL) {
        return (int)syscall(SYS_clock_gettime, clock, now);
    }
    now->tv_sec = (time_t)atoll(fixed);
    now->tv_nsec = 0;
    return 0;
}
