import { writeFileSync } from 'node:fs'
import type { Backend } from '@machinist/api'
import { type InputSource, inputSource, type MemoryDisplay, memoryDisplay } from '@machinist/display'
import { fileError } from '@machinist/host-node'
import type { MachineBlueprint } from '@machinist/machine'
import { png } from './png.ts'

/** By what names machines have the screen, the keyboard and the mouse of the command line. */
export const SCREEN = { screen: 'screen', keyboard: 'keyboard', mouse: 'mouse' } as const

/** A screen with keyboard and mouse. */
export interface Desk {
  readonly display: MemoryDisplay
  readonly keyboard: InputSource
  readonly backends: Readonly<Record<(typeof SCREEN)[keyof typeof SCREEN], Backend<unknown>>>
}

/** Makes a {@link Desk}, for one machine. */
export function desk(): Desk {
  const [display, keyboard, mouse] = [memoryDisplay({ name: SCREEN.screen }), inputSource({ name: SCREEN.keyboard }), inputSource({ name: SCREEN.mouse })]
  return { display, keyboard, backends: { screen: display, keyboard, mouse } }
}

/** Whether a part of a machine is connected to what a name, or a backend of the program, is. */
export function connects({ definition, backends: live }: MachineBlueprint, wanted: string | Backend<unknown>): boolean {
  return Object.values(definition.devices).some(({ backends = {} }) => Object.values(backends).some((each) => each === wanted || (typeof each === 'string' && live.get(each) === wanted)))
}

/** Writes what a screen shows into a file; returns whether there was something. @throws a typed error `'file-…'` */
export function screenshot({ screens: [screen] }: MemoryDisplay, path: string): boolean {
  const picture = screen?.picture ?? null
  if (picture === null) return false
  try {
    writeFileSync(path, png(picture))
  } catch (error) {
    throw fileError(error, '--screenshot', path)
  }
  return true
}
