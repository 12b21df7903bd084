/** A program that restores a machine of counted time, runs it on, and writes its digest; see snapshot.long.test.ts. */
import { virtCatalogue } from '@machinist/boards'
import { nodeHost, openSnapshotFile } from '@machinist/host-node'
import { instantiateStored } from '@machinist/machine'
import { machineDigest, runTo } from './digest.ts'

const [path = '', end] = process.argv.slice(2)
const stored = openSnapshotFile(path)
const machine = instantiateStored(stored, virtCatalogue, nodeHost(), { exact: true })
stored.close()
runTo(machine, Number(end))
process.stdout.write(machineDigest(machine))
machine.dispose()
