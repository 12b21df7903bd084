/** A question before something that cannot be undone. */

/**
 * Asks in a dialog of the page: its text, and whether to go on. It is not asked twice at once.
 *
 * @returns whether it may be done; false when somebody is being asked
 */
export function ask(dialog: HTMLDialogElement, text: string): Promise<boolean> {
  if (dialog.open) return Promise.resolve(false)
  const place = dialog.querySelector('[data-text]')
  if (place !== null) place.textContent = text
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => { resolve(dialog.returnValue === 'yes') }, { once: true })
  })
}
