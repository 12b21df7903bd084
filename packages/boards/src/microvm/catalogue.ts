import { acpiPm, i8254, mc146818 } from '@machinist/devices'
import { i8259, ioApic, localApic } from '@machinist/interrupts'
import type { Catalogue } from '@machinist/machine'
import { virtDevices } from '../virt/catalogue.ts'

/** Every device that the `microvm` machine may use: with a CPU of the kind that a definition names, its catalogue. */
export const microvmDevices: Catalogue = [...virtDevices, i8259, ioApic, localApic, i8254, mc146818, acpiPm]
