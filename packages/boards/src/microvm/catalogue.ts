import { acpiPm, i8254, mc146818 } from '@machinist/devices'
import { i8259, ioApic, localApic } from '@machinist/interrupts'
import { x86 } from '@machinist/cpu-x86'
import type { Catalogue } from '@machinist/machine'
import { virtDevices } from '../virt/catalogue.ts'

/** Every device that the `microvm` machine may use: with a CPU of the kind that a definition names, its catalogue. */
export const microvmDevices: Catalogue = [...virtDevices, i8259, ioApic, localApic, i8254, mc146818, acpiPm]

/** Every spec that the `microvm` machine may use, for definitions from files and workers. */
export const microvmCatalogue: Catalogue = [x86, ...microvmDevices]
