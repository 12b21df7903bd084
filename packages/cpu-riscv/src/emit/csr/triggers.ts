import { Csr } from '../../csr-numbers.ts'
import { constant, type CsrDefinition } from './definition.ts'

/**
 * There are no debug triggers, and here is how software finds that out (Sdtrig 1.0, 5.7.1): the one that `tselect` can name says by a type of 0 in
 * `tdata1`, and by bit 0 of `tinfo`, that it is none. All are WARL, and take no value.
 */
export const triggerCsrs: readonly CsrDefinition[] = [
  constant(Csr.tselect, 0n), constant(Csr.tdata1, 0n), constant(Csr.tdata2, 0n), constant(Csr.tdata3, 0n), constant(Csr.tinfo, 1n),
]
