import { x86 } from '@machinist/cpu-x86'
import { debugPort, fwCfg, i440fx, i8042, piix3, piix3Ide, port92, vga } from '@machinist/devices'
import type { Catalogue } from '@machinist/machine'
import { microvmDevices } from '../microvm/catalogue.ts'

/** Every device that the `pc` machine may use: with a CPU of the kind that a definition names, its catalogue. */
export const pcDevices: Catalogue = [...microvmDevices, debugPort, fwCfg, i440fx, i8042, piix3, piix3Ide, port92, vga]

/** Every spec that the `pc` machine may use, for definitions from files and workers. */
export const pcCatalogue: Catalogue = [x86, ...pcDevices]
