/* hakmem's own calls, beside those of malloc.h: what `hakmem::export_malloc!` exports (docs/MALLOC.md).
 *
 * All may be called from any thread, allocate nothing and take no lock.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a table of what is allocated, class by class, as snprintf does: at most `size` bytes into `buffer`, the last of
 * them 0. Returns the length of the whole table without that 0; `buffer` may be NULL if `size` is 0. */
size_t hakmem_stats(char *buffer, size_t size);

/* The same as one JSON object:
 * {"classes":[{"size":16,"blocks_live":1,"blocks_carved":256,"slabs":1,"bytes_live":16,"bytes_committed":4096,
 * "bytes_reserved":65536,"bytes_waste":4080},...]} */
size_t hakmem_stats_json(char *buffer, size_t size);

/* Whether `pointer` points into memory of this allocator. The memory is not touched. */
bool hakmem_owns(const void *pointer);

#ifdef __cplusplus
}
#endif

#endif
