import type { Catalogue } from '@machinist/machine'
import { microvmCatalogue } from './microvm/catalogue.ts'
import { pcCatalogue } from './pc/catalogue.ts'
import { virtCatalogue } from './virt/catalogue.ts'

/** Every spec that any machine of this package may use. */
export const boardCatalogue: Catalogue = [...new Set([...virtCatalogue, ...microvmCatalogue, ...pcCatalogue])]
