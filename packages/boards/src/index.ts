export { type Given, virt, virtCatalogue, type VirtNet, type VirtOptions } from './virt/virt.ts'
export { VIRTIO_SLOTS, virtIrq, virtMap } from './virt/memory-map.ts'
