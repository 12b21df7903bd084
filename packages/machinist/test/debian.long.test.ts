/** A disk with Debian for riscv64. */
import { testDebian } from './debian-disk.ts'

testDebian({ architecture: 'riscv64', again: true })
