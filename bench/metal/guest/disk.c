/* A driver of virtio block over MMIO (virtio 1.2, 4.2 and 5.2), with one request at a time, and of the PLIC for it. */
#include "machine.h"

enum { VERSION = 4, DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SELECT = 0x24, QUEUE_SELECT = 0x30, QUEUE_SIZE = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70,
  DESC = 0x80, AVAIL = 0x90, USED = 0xa0, ENTRIES = 8, NEXT = 1, DEVICE_WRITES = 2, PLIC_ENABLES = 0x2000, PLIC_CONTEXTS = 0x200000, CLAIM = 4 };

static struct { uint64_t address; uint32_t length; uint16_t flags, next; } desc[ENTRIES] __attribute__((aligned(16)));
static struct { uint16_t flags, index, ring[ENTRIES], event; } avail __attribute__((aligned(2)));
static volatile struct { uint16_t flags, index; struct { uint32_t id, length; } ring[ENTRIES]; uint16_t event; } used __attribute__((aligned(4)));
static struct { uint32_t type, reserved; uint64_t sector; } header;
static volatile uint8_t status;
uint8_t disk_data[4096] __attribute__((aligned(4096)));
/* Requests that an interrupt told of. */
static volatile uint16_t told;

static void set_address(uint32_t at, const volatile void *area) {
  write32(disk_base + at, (uint32_t)(uint64_t)area);
  write32(disk_base + at + 4, (uint32_t)((uint64_t)area >> 32));
}

static uint64_t claim_register(void) { return plic_base + PLIC_CONTEXTS + 0x1000 * plic_context + CLAIM; }

bool open_disk(void) {
  if (!disk_base || !plic_base || read32(disk_base + VERSION) != 2) return false;
  write32(disk_base + STATUS, 0);
  write32(disk_base + STATUS, 3);
  write32(disk_base + DRIVER_FEATURES_SELECT, 0);
  write32(disk_base + DRIVER_FEATURES, 0);
  write32(disk_base + DRIVER_FEATURES_SELECT, 1);
  write32(disk_base + DRIVER_FEATURES, 1 /* VIRTIO_F_VERSION_1 */);
  write32(disk_base + STATUS, 11);
  write32(disk_base + QUEUE_SELECT, 0);
  write32(disk_base + QUEUE_SIZE, ENTRIES);
  set_address(DESC, desc);
  set_address(AVAIL, &avail);
  set_address(USED, &used);
  write32(disk_base + QUEUE_READY, 1);
  write32(disk_base + STATUS, 15);
  write32(plic_base + 4 * disk_source, 1);
  write32(plic_base + PLIC_ENABLES + 0x80 * plic_context + disk_source / 32 * 4, 1u << disk_source % 32);
  write32(claim_register() - CLAIM, 0);
  csr_set(sie, SEIE);
  return true;
}

void notify_disk(void) { write32(disk_base + NOTIFY, 0); }

void disk_interrupted(void) {
  uint32_t source = read32(claim_register());
  if (source == 0) return;
  write32(disk_base + INTERRUPT_ACK, read32(disk_base + INTERRUPT_STATUS));
  told = used.index;
  write32(claim_register(), source);
}

void read_disk(uint64_t sector) {
  header.type = 0;
  header.sector = sector;
  status = 255;
  desc[0].address = (uint64_t)&header, desc[0].length = sizeof header, desc[0].flags = NEXT, desc[0].next = 1;
  desc[1].address = (uint64_t)disk_data, desc[1].length = sizeof disk_data, desc[1].flags = NEXT | DEVICE_WRITES, desc[1].next = 2;
  desc[2].address = (uint64_t)&status, desc[2].length = 1, desc[2].flags = DEVICE_WRITES, desc[2].next = 0;
  avail.ring[avail.index % ENTRIES] = 0;
  asm volatile("fence" ::: "memory");
  avail.index++;
  asm volatile("fence" ::: "memory");
  notify_disk();
  /* As drivers do, it goes by the interrupt, even if the answer was there before. Interrupts are off but here, so that none is missed between the look and the wait. */
  while (told != avail.index) {
    asm volatile("wfi");
    csr_set(sstatus, SIE);
    csr_clear(sstatus, SIE);
  }
}
