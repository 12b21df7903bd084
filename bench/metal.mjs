/**
 * `node bench/metal.mjs [--json FILE] [--profile FILE] [--no-kvm] [--functions ROW]`: what machines cost on bare metal, in instructions of the emulated hardware, beside the same without a hypervisor and under KVM. Counted, not timed: it does not
 * depend on what else the host does. `--functions ROW` tells instead what each function takes in each round of a row: those of the program, and those of C.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ensureDebianPackages } from '../scripts/debian.mjs'
import { script } from '../scripts/lib/say.mjs'
import { checkNode, ensureDependencies } from '../scripts/lib/workspace.mjs'

await script(async () => {
  const { values } = parseArgs({ options: { json: { type: 'string' }, profile: { type: 'string' }, 'no-kvm': { type: 'boolean' }, functions: { type: 'string' } } })
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('bench')
  ensureDebianPackages('metal')
  if (values.functions !== undefined) {
    process.stdout.write(await (await import('./metal/functions.mjs')).functions(values.functions))
    return 0
  }
  const { measure } = await import('./metal/measure.mjs')
  const { table } = await import('./metal/table.mjs')
  const figures = await measure({ ...(values.profile !== undefined && { profile: values.profile }), kvm: values['no-kvm'] !== true })
  process.stdout.write(table(figures))
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`)
  return 0
})
