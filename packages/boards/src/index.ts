export { virtCatalogue, virtDevices } from './virt/catalogue.ts'
export { type Given, virt, type VirtCpu, type VirtNet, type VirtOptions } from './virt/virt.ts'
export { VIRTIO_SLOTS, virtIrq, virtMap } from './virt/memory-map.ts'
