// How large a picture may be: checked on the header, before memory is taken for its pixels.

/** 50 megapixels: above any sensor a board is fed by, and far below what a few KB of PNG can claim. */
export const DEFAULT_MAX_PIXELS = 50_000_000

/** Larger pictures are reduced while they are decoded: 8 megapixels are 24 MB, and no model looks at more. */
export const FULL_PIXELS = 8_000_000
