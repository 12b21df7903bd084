/**
 * `node bench/metal.mjs [--json FILE] [--profile FILE] [--no-kvm]`: what machines cost on bare metal, in instructions of the emulated hardware, beside the same without a hypervisor and under KVM. Counted, not timed: it does not
 * depend on what else the host does.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ensureDebianPackages } from '../scripts/debian.mjs'
import { script } from '../scripts/lib/say.mjs'
import { checkNode, ensureDependencies } from '../scripts/lib/workspace.mjs'

await script(async () => {
  const { values } = parseArgs({ options: { json: { type: 'string' }, profile: { type: 'string' }, 'no-kvm': { type: 'boolean' } } })
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('bench')
  ensureDebianPackages('metal')
  const { measure } = await import('./metal/measure.mjs')
  const { table } = await import('./metal/table.mjs')
  const figures = await measure({ ...(values.profile !== undefined && { profile: values.profile }), kvm: values['no-kvm'] !== true })
  process.stdout.write(table(figures))
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`)
  return 0
})
