import { legacyRegion } from '../../src/extended-state.ts'
import { flagBits, Interpreter, STATUS } from '../../src/index.ts'
import { type Form, forms } from '../../src/isa/index.ts'
import { extendedDifference } from './extended.ts'
import { formAt, randomData, randomRun } from './generator.ts'
import { buildHost, CODE_SIZE, hostFeatures, hostVendor, MEMORY_AT, MEMORY_SIZE, type Outcome, type Run } from './host.ts'
import { Random } from './random.ts'

/** What a host must have to run an instruction, by the names of /proc/cpuinfo. */
const needs: Readonly<Record<string, string>> = { adcx: 'adx', adox: 'adx', movbe: 'movbe', popcnt: 'popcnt', lzcnt: 'abm', tzcnt: 'bmi1', crc32: 'sse4_2', cmpxchg8b: 'cx16', lahf: 'lahf_lm', sahf: 'lahf_lm' }
/** Groups that are features of their own by those names; the others all hosts have. */
const features: Readonly<Record<string, string>> = {
  sse3: 'pni', ssse3: 'ssse3', sse4_1: 'sse4_1', sse4_2: 'sse4_2', avx: 'avx', avx2: 'avx2', fma: 'fma', f16c: 'f16c',
  bmi1: 'bmi1', bmi2: 'bmi2', aes: 'aes', pclmulqdq: 'pclmulqdq', sha: 'sha_ni', xsave: 'xsave',
}
/**
 * POPF of random bits turns single step and alignment checks on: it has a test of its own. The upper half of a selector that is pushed
 * differs between processors (SDM volume 2, PUSH), and so do approximations.
 */
const excluded = ({ instruction: { name, group } }: Form): boolean => name === 'popf' || name === 'push' && group === 'segments' || /^v?r(cp|sqrt)[ps]s$/.test(name) || savesAddresses.has(name) || tellsOfHost.has(name) || transcendental.has(name)
/** What stores the addresses of the last x87 instruction and operand, which are not kept. */
const savesAddresses: ReadonlySet<string> = new Set(['fnstenv', 'fnsave', 'fxsave', 'xsave', 'xsaveopt', 'xsavec'])
/** What is right to a unit in the last place, and not to the bit of any processor: transcendental.test.ts compares it. */
export const transcendental: ReadonlySet<string> = new Set(['f2xm1', 'fyl2x', 'fyl2xp1', 'fptan', 'fpatan', 'fsin', 'fcos', 'fsincos'])
/** What tells of parts that only the host has. */
const tellsOfHost: ReadonlySet<string> = new Set(['xgetbv', 'xsetbv'])
/** Groups that user mode cannot run, or not without a system's tables. */
const ofTheSystem: ReadonlySet<string> = new Set(['far', 'system', 'ports'])
const DF = 0x400
const AC = 0x4_0000
const ALIGNMENT_CHECK = 17
const INT3 = 0xcc

/** The forms of a group that the host can run. */
export function comparable(group: string): Form[] {
  const present = hostFeatures()
  return forms.filter((form) => {
    const needed = needs[form.instruction.name] ?? features[group]
    return form.instruction.group === group && !excluded(form) && (needed === undefined || present.has(needed))
  })
}

/** Ends a run after the first instruction that leaves flags undefined: what follows might read them. Returns those flags. */
function cutAtUndefined(run: Run): { run: Run; mask: number } {
  for (let at = 0; at < run.code.length;) {
    const found = formAt(run.code.subarray(at), run.mode)
    if (!found) break
    at += found.length
    const undefinedFlags = flagBits(found.form.instruction.undefinedFlags)
    if (undefinedFlags !== 0) return { run: { ...run, code: Uint8Array.of(...run.code.subarray(0, at), 0xcc) }, mask: undefinedFlags }
  }
  return { run, mask: 0 }
}

/** More than any run takes that ends: REP over all of the memory, in each of its instructions. */
const STEP_LIMIT = 100_000

/**
 * Runs code here as the host does, until it raises something. Null when it does not end, or comes to data that are no INT3:
 * what those mean as code may not be in the table, and may go round without end.
 */
export function runHere(cpu: Interpreter, run: Run): Outcome | null {
  cpu.memory.fill(INT3)
  cpu.memory.set(run.code)
  cpu.memory.set(run.data, CODE_SIZE)
  run.registers.forEach((value, i) => cpu.setRegister(i, value))
  cpu.flags = run.flags | 0x202
  cpu.extendedState = run.extended
  cpu.rip = MEMORY_AT
  for (let steps = 0; steps < STEP_LIMIT; steps++) {
    if (strays(cpu, run)) return null
    const step = cpu.step()
    if (step.kind === 'exception') {
      return {
        vector: step.vector, registers: run.registers.map((_, i) => cpu.register(i)), flags: cpu.flags,
        rip: Number(BigInt.asIntN(64, cpu.rip - MEMORY_AT)), data: cpu.memory.slice(CODE_SIZE), extended: cpu.extendedState,
      }
    }
  }
  return null
}

export function newInterpreter(mode: 32 | 64): Interpreter {
  const cpu = new Interpreter({ mode, base: MEMORY_AT, size: MEMORY_SIZE })
  // As harness.c has them: ES to DS; FS and GS are null.
  const selectors = [0x2b, mode === 64 ? 0x33 : 0x23, 0x2b, 0x2b]
  selectors.forEach((selector, i) => cpu.setSegment(i, { selector }))
  return cpu
}

/** Whether the next instruction is neither of the run nor an INT3. */
function strays(cpu: Interpreter, run: Run): boolean {
  const at = Number(BigInt.asIntN(64, cpu.rip - MEMORY_AT))
  return at >= run.code.length && at < MEMORY_SIZE && cpu.memory[at] !== INT3
}

function sameCode(cpu: Interpreter, run: Run): boolean {
  return Buffer.compare(cpu.memory.subarray(0, run.code.length), run.code) === 0
}

/** What differs, in words; empty when nothing does. */
export function difference(run: Run, here: Outcome, host: Outcome, mask: number): string[] {
  const wrong: string[] = []
  if (here.vector !== host.vector) wrong.push(`vector ${here.vector}, host ${host.vector}`)
  if (here.rip !== host.rip) wrong.push(`rip ${here.rip}, host ${host.rip}`)
  for (let i = 0; i < (run.mode === 64 ? 16 : 8); i++) {
    if (here.registers[i] !== host.registers[i]) wrong.push(`register ${i}: ${here.registers[i]?.toString(16)}, host ${host.registers[i]?.toString(16)}, was ${run.registers[i]?.toString(16)}`)
  }
  const compared = (STATUS | DF) & ~mask
  if (((here.flags ^ host.flags) & compared) !== 0) wrong.push(`flags ${(here.flags & compared).toString(16)}, host ${(host.flags & compared).toString(16)}, were ${run.flags.toString(16)}`)
  wrong.push(...extendedDifference(run, here.extended, host.extended))
  const at = Buffer.compare(here.data, host.data) === 0 ? -1 : here.data.findIndex((byte, i) => byte !== host.data[i])
  if (at >= 0) wrong.push(`memory at ${at}: ${here.data[at]}, host ${host.data[at]}`)
  return wrong
}

/** Of a masked move that faults it is open which bytes that no mask chooses were looked at (SDM volume 2, MASKMOVQ): AMD's processors look at more. */
function faultsOnNothing(run: Run, host: Outcome): boolean {
  return MEMORY_FAULTS.has(host.vector) && /^v?p?maskmov/.test(formAt(run.code.subarray(host.rip), run.mode)?.form.instruction.name ?? '')
}

/** Of the address of an image that is neither aligned nor canonical, in SS, this processor looks at the second first; with vectors at the first. */
function isOddTwice(run: Run, here: Outcome, host: Outcome): boolean {
  return here.vector === 13 && host.vector === 12 && here.rip === host.rip && /^(fx|x)rstor$/.test(formAt(run.code.subarray(host.rip), run.mode)?.form.instruction.name ?? '')
}

/** AMD's processors have a bit of MXCSR that Intel's have not, for misaligned accesses (APM volume 2, 11.2.4: MM). */
function misalignmentMasked(run: Run, here: Outcome, host: Outcome): boolean {
  return here.vector === 13 && ((host.extended[legacyRegion.mxcsr + 2] ?? 0) & 2) !== 0 && /^(v?ldmxcsr|fxrstor|xrstor)$/.test(formAt(run.code.subarray(here.rip), run.mode)?.form.instruction.name ?? '')
}

/**
 * Where alignment is checked, what this processor does and the manual leaves open, or says otherwise: CALL checks its stack before its target, and images that are not aligned to 16 bytes are #AC before they are #GP (SDM volume 2,
 * FXSAVE); MOVSXD to 16 bits reads 32, and MASKMOVQ and MASKMOVDQU 64, of which masks need none.
 */
function checkedOtherwise(run: Run, here: Outcome, host: Outcome): boolean {
  if ((run.flags & AC) === 0 || host.vector !== ALIGNMENT_CHECK) return false
  const found = formAt(run.code.subarray(host.rip), run.mode)
  const name = found?.form.instruction.name ?? ''
  if (/^(movsxd|v?maskmovdqu|maskmovq)$/.test(name)) return true
  return here.vector === 13 && here.rip === host.rip && /^(call|fxsave|fxrstor)$/.test(name)
}

const MEMORY_FAULTS: ReadonlySet<number> = new Set([12, 13, 14])
const BATCH = 500
/** Different contents of the data pages in a batch. */
const CONTENTS = 20

/** Compares so many random runs of a group; returns descriptions of the first few that differ. */
export function compareGroup(group: string, mode: 32 | 64, count: number, seed: number): string[] {
  const random = new Random(seed)
  const usable = comparable(group)
  const cpu = newInterpreter(mode)
  const host = buildHost()
  const found: string[] = []
  let compared = 0
  try {
    for (let done = 0; done < count && found.length < 10; done += BATCH) {
      const jumps = group === 'control'
      const data = Array.from({ length: CONTENTS }, () => randomData(random, jumps))
      const runs = Array.from({ length: Math.min(BATCH, count - done) }, () => cutAtUndefined(perhapsChecked(random, randomRun(random, usable, mode, 1 + random.below(5), random.of(data), jumps))))
      // What wrote its own code may have made instructions that are not in the table.
      const ended = runs.map(({ run, mask }) => ({ run, mask, here: runHere(cpu, run), same: sameCode(cpu, run) })).filter(({ here, same }) => here !== null && same)
      compared += ended.length
      const outcomes = host.run(ended.map(({ run }) => run))
      ended.forEach(({ run, mask, here }, i) => {
        const outcome = outcomes[i]
        if (!outcome || !here) throw new Error('an answer is missing')
        if (faultsOnNothing(run, outcome) || isOddTwice(run, here, outcome) || misalignmentMasked(run, here, outcome) || checkedOtherwise(run, here, outcome)) return
        const wrong = difference(run, here, outcome, mask)
        if (wrong.length > 0) found.push(`${describe(run)}: ${wrong.join('; ')}`)
      })
    }
  } finally {
    host.dispose()
  }
  if (found.length === 0 && compared < count * 3 / 4) found.push(`of ${count} runs only ${compared} could be compared`)
  return found
}

/** Some begin with alignment checked, as AMD's processors do: others were not compared with yet. */
function perhapsChecked(random: Random, run: Run): Run {
  return random.below(8) === 0 && hostVendor() === 'AuthenticAMD' ? { ...run, flags: run.flags | AC } : run
}

function describe({ code, mode }: Run): string {
  const names: string[] = []
  for (let at = 0; at < code.length;) {
    const found = formAt(code.subarray(at), mode)
    if (!found) break
    names.push(`${found.form.instruction.name}${found.size * 8}`)
    at += found.length
  }
  return `${mode}-bit ${Buffer.from(code).toString('hex')} (${names.join(', ')})`
}

/** Groups in which we do as AMD's processors where the manual leaves room: those of other makers have not been compared with. */
const asAmd = /^(mmx|s?sse[0-9_]*|avx2?|fma|x87)$/

/** Why a group cannot be compared on this host, or null. */
export function whyNotHere(group: string): string | null {
  return asAmd.test(group) && hostVendor() !== 'AuthenticAMD' ? `the host's processor is ${hostVendor()}, of which none was compared with yet` : null
}

/** What can be compared: each group in each mode that has it. */
export function groups(): { group: string; mode: 32 | 64 }[] {
  const names = new Set(forms.map(({ instruction }) => instruction.group).filter((name) => !ofTheSystem.has(name)))
  return [...names].flatMap((group) => ([64, 32] as const)
    .filter((mode) => forms.some((form) => form.instruction.group === group && form.modes.includes(mode) && !excluded(form)))
    .map((mode) => ({ group, mode })))
}
