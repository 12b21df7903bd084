/**
 * As much of Vitest as the tests of portable packages use, in ECMAScript alone. Tests are collected while their file is evaluated, and run one after the other when the engine has nothing else to do.
 * Expectations are Vitest's own.
 */
import { ASYMMETRIC_MATCHERS_OBJECT, chai, customMatchers, GLOBAL_EXPECT, JestAsymmetricMatchers, JestChaiExpect, JestExtend, getState, setState } from '@vitest/expect'
import { configureGlobal } from 'fast-check'
import { due } from './globals.ts'

declare const print: (text: string) => void

type Body = (...values: never[]) => unknown
type Hook = () => unknown

interface Suite {
  readonly name: string
  readonly parent: Suite | null
  readonly members: (Suite | Test)[]
  readonly hooks: Readonly<Record<'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach', Hook[]>>
}

interface Test {
  readonly name: string
  readonly run: (() => unknown) | null
}

const suite = (name: string, parent: Suite | null): Suite => ({ name, parent, members: [], hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] } })
const root = suite('', null)
let current = root

/** Values in a title: `%s`, `%d`, `%i`, `%x`, `%o`, `%j`, `%#`, `%%`, and `$field`. */
function title(name: string, values: readonly unknown[], index: number): string {
  let next = 0
  const text = name.replace(/%([sdixojf#%])/g, (_, kind: string) => kind === '%' ? '%' : kind === '#' ? String(index) : kind === 'x' ? Number(values[next++]).toString(16) : String(values[next++]))
  const [first] = values
  return text.replace(/\$(\w+)/g, (all, field: string) => typeof first === 'object' && first !== null && field in first ? String((first as Record<string, unknown>)[field]) : all)
}

interface Declare {
  (name: string, ...rest: unknown[]): void
  readonly each: (cases: readonly unknown[]) => (name: string, ...rest: unknown[]) => void
  readonly skip: (name: string, ...rest: unknown[]) => void
  readonly skipIf: (condition: unknown) => Declare
  readonly runIf: (condition: unknown) => Declare
}

const bodyOf = (rest: readonly unknown[]): Body => rest.find((each) => typeof each === 'function') as Body

function declaring(add: (name: string, body: (() => unknown) | null) => void): Declare {
  const declare = (name: string, ...rest: unknown[]): void => {
    const body = bodyOf(rest)
    add(name, () => (body as () => unknown)())
  }
  const skip = (name: string): void => { add(name, null) }
  return Object.assign(declare, {
    skip,
    skipIf: (condition: unknown): Declare => condition ? Object.assign(skip, { each: () => skip, skip, skipIf: () => result(), runIf: () => result() }) as Declare : result(),
    runIf: (condition: unknown): Declare => result().skipIf(!condition),
    each: (cases: readonly unknown[]) => (name: string, ...rest: unknown[]): void => {
      const body = bodyOf(rest)
      cases.forEach((each, index) => {
        const values = Array.isArray(each) ? each : [each]
        add(title(name, values, index), () => body(...values as never[]))
      })
    },
  })
  function result(): Declare { return declaring(add) }
}

export const test: Declare = declaring((name, run) => { current.members.push({ name, run }) })
export const it: Declare = test
export const describe: Declare = declaring((name, body) => {
  const own = suite(name, current)
  current.members.push(own)
  if (body === null) return
  current = own
  try {
    body()
  } finally {
    current = own.parent ?? root
  }
})
type Register = (body: Hook) => void
const hook = (kind: keyof Suite['hooks']): Register => (body): void => { current.hooks[kind].push(body) }
export const beforeAll: Register = hook('beforeAll')
export const afterAll: Register = hook('afterAll')
export const beforeEach: Register = hook('beforeEach')
export const afterEach: Register = hook('afterEach')

configureGlobal({ seed: 1 })
chai.use(JestExtend)
chai.use(JestChaiExpect)
chai.use(JestAsymmetricMatchers)
export const expect: typeof chai.expect = Object.assign((value: unknown, message?: string): Chai.Assertion => chai.expect(value, message), chai.expect)
setState({ assertionCalls: 0, isExpectingAssertions: false, isExpectingAssertionsError: null, expectedAssertionsNumber: null, expectedAssertionsNumberErrorGen: null } as never, expect as never)
Object.assign(globalThis, { [GLOBAL_EXPECT]: expect })
Object.assign(expect, (globalThis as never)[ASYMMETRIC_MATCHERS_OBJECT])
const extend = (matchers: unknown): void => { (chai.expect as unknown as { extend(to: unknown, matchers: unknown): void }).extend(expect, matchers) }
Object.assign(expect, { extend, soft: expect, hasAssertions: () => {}, getState: () => getState(expect as never), setState: (state: never) => { setState(state, expect as never) } })
extend(customMatchers)

const path = (at: Suite | null): string => at === null || at.parent === null ? '' : `${path(at.parent)}${at.name} > `

async function hooks(at: Suite | null, kind: 'beforeEach' | 'afterEach'): Promise<void> {
  if (at === null) return
  if (kind === 'beforeEach') await hooks(at.parent, kind)
  for (const each of at.hooks[kind]) await each()
  if (kind === 'afterEach') await hooks(at.parent, kind)
}

const told = (error: unknown): string => error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error)

async function run(at: Suite): Promise<void> {
  let broken: unknown = null
  try {
    for (const each of at.hooks.beforeAll) await each()
  } catch (error) {
    broken = error ?? 'a hook failed'
  }
  for (const member of at.members) {
    if ('members' in member) {
      await run(member)
      continue
    }
    let outcome = member.run === null ? 'skipped' : 'passed'
    let error = ''
    if (member.run !== null) {
      try {
        if (broken !== null) throw broken instanceof Error ? broken : new Error('a hook failed')
        await hooks(at, 'beforeEach')
        await member.run()
        await hooks(at, 'afterEach')
      } catch (thrown) {
        outcome = 'failed'
        error = told(thrown)
      }
    }
    print(JSON.stringify({ test: path(at) + member.name, outcome, error }))
  }
  for (const each of at.hooks.afterAll) await each()
}

let begun = false
let done = false
Object.assign(globalThis, {
  next() {
    if (!begun) {
      begun = true
      void run(root).then(() => { print(JSON.stringify({ end: true })) }, (error: unknown) => { print(JSON.stringify({ end: told(error) })) }).finally(() => { done = true })
      return true
    }
    return !done && due()
  },
})
