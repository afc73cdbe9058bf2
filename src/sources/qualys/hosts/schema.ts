/** What Qualys calls things in a host list answer (version 5.0); the fields of a HOST are in `fo-host.ts`. */
export const ROOT = 'HOST_LIST_OUTPUT'
export const HOST_LIST = 'HOST_LIST'
export const HOST = 'HOST'
