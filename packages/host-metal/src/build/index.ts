export { buildImage } from './image.ts'
export type { Image, ImageOptions } from './image.ts'
