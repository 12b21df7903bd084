/** A disk with Debian for amd64. Where none is in the cache, it takes some minutes longer than that of riscv64. */
import { testDebian } from './debian-disk.ts'

testDebian({ architecture: 'amd64', again: false })
