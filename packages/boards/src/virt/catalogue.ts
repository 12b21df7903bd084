import { pciHost } from '@machinist/bus'
import { riscv } from '@machinist/cpu-riscv'
import { goldfishRtc, nvme, syscon, uart16550a, vmgenid } from '@machinist/devices'
import { aplic, clint, imsic, plic } from '@machinist/interrupts'
import type { Catalogue } from '@machinist/machine'
import {
  virtio9p, virtio9pPci, virtioBalloon, virtioBalloonPci, virtioBlock, virtioBlockPci, virtioConsole, virtioConsolePci, virtioEntropy, virtioEntropyPci, virtioGpu, virtioGpuPci, virtioInput, virtioInputPci,
  virtioMem, virtioMemPci, virtioNet, virtioNetPci, virtioPlaceholders, virtioPmem, virtioPmemPci, virtioSound, virtioSoundPci, virtioVsock, virtioVsockPci,
} from '@machinist/virtio'

/** Every device that the `virt` machine may use: with a CPU of the kind that a definition names, its catalogue. */
export const virtDevices: Catalogue = [
  plic, aplic, imsic, clint, pciHost, nvme, syscon, goldfishRtc, vmgenid, uart16550a, virtioBlock, virtioConsole, virtioEntropy,
  virtio9p, virtio9pPci, virtioBalloon, virtioBalloonPci, virtioMem, virtioMemPci, virtioPmem, virtioPmemPci, virtioVsock, virtioVsockPci,
  virtioNet, virtioBlockPci, virtioConsolePci, virtioEntropyPci, virtioNetPci,
  virtioGpu, virtioGpuPci, virtioInput, virtioInputPci, virtioSound, virtioSoundPci, virtioPlaceholders,
]

/** Every spec that the `virt` machine may use, for definitions from files and workers. */
export const virtCatalogue: Catalogue = [riscv, ...virtDevices]
