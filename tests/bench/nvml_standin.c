/* A stand-in for NVML that tells what h200-nvml.json recorded; GPU 1 is lost. Compiled by test_nvml.py. */
#include <stdint.h>
#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
enum { SUCCESS = 0, INVALID = 2, MISMATCH = 25, LOST = 15 };

static int lost(void *device) { return device != (void *)1; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)(uintptr_t)(index + 1); return SUCCESS; }
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
    (void)device;
    strncpy(uuid, UUID, length);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    if (memory->version != (sizeof *memory | 2 << 24)) return MISMATCH;
    if (lost(device)) return LOST;
    memory->total = TOTAL, memory->reserved = RESERVED, memory->free = FREE, memory->used = USED;
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization *rates) {
    if (lost(device)) return LOST;
    rates->gpu = GPU, rates->memory = 0;
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    if (lost(device)) return LOST;
    *milliwatts = POWER;
    return SUCCESS;
}
int nvmlDeviceGetClockInfo(void *device, int which, unsigned *mhz) {
    if (lost(device)) return LOST;
    if (which != 1) return INVALID;
    *mhz = CLOCK;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
    if (lost(device)) return LOST;
    if (sensor != 0) return INVALID;
    *celsius = TEMPERATURE;
    return SUCCESS;
}
int REASONS_NAME(void *device, unsigned long long *reasons) {
    if (lost(device)) return LOST;
    *reasons = REASONS;
    return SUCCESS;
}
