/** Colours and shapes. Every pair of text and ground here passes WCAG AA; `e2e/accessibility.spec.ts` checks it. */
import {
  Anchor,
  type CSSVariablesResolver,
  createTheme,
  type MantineColorsTuple,
  Modal,
  Table,
  Tooltip,
} from '@mantine/core';

/** The green of safes. */
const vault: MantineColorsTuple = [
  '#eef6f4',
  '#d8eae6',
  '#b1d4cd',
  '#84bab0',
  '#5ca195',
  '#3f887d',
  '#2a7267',
  '#1b6056',
  '#124f47',
  '#0a3a34',
];

const dark: MantineColorsTuple = [
  '#dfe4e3',
  '#bcc5c3',
  '#98a3a0',
  '#6d7976',
  '#3d4846',
  '#2d3735',
  '#232b2a',
  '#191f1e',
  '#131817',
  '#0c100f',
];

export const theme = createTheme({
  primaryColor: 'vault',
  primaryShade: { light: 7, dark: 6 },
  colors: { vault, dark },
  defaultRadius: 6,
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  headings: {
    fontWeight: '650',
    sizes: {
      h1: { fontSize: '1.5rem', lineHeight: '2rem' },
      h2: { fontSize: '1.0625rem', lineHeight: '1.5rem' },
    },
  },
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Anchor: Anchor.extend({ defaultProps: { underline: 'hover' } }),
    Modal: Modal.extend({
      defaultProps: { centered: false, yOffset: '6vh', closeButtonProps: { 'aria-label': 'Close' } },
    }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 'sm', horizontalSpacing: 'md' } }),
    Tooltip: Tooltip.extend({
      defaultProps: {
        withArrow: true,
        multiline: true,
        maw: 320,
        events: { hover: true, focus: true, touch: true },
      },
    }),
  },
});

/** Mantine's own greys for secondary text are too pale for AA on our grounds. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#55605d',
    '--mantine-color-placeholder': '#6b7573',
    '--mantine-color-body': '#ffffff',
    '--mantine-color-error': '#b42318',
    '--control-line': '#868e96',
    '--ground': '#f5f7f6',
    '--line': '#dfe5e3',
    '--ok': '#1f8a4c',
    '--warn': '#c97a00',
    '--bad': '#c92a2a',
    '--bad-text': '#b42318',
    '--warn-text': '#8a4b00',
  },
  dark: {
    '--mantine-color-dimmed': '#a3aeab',
    '--mantine-color-placeholder': '#8b9693',
    '--mantine-color-body': '#191f1e',
    '--mantine-color-error': '#ff8a80',
    '--control-line': '#6d7976',
    '--ground': '#111514',
    '--mantine-color-vault-light': 'rgba(63, 136, 125, 0.22)',
    '--mantine-color-vault-light-color': '#b1d4cd',
    '--mantine-color-vault-light-hover': 'rgba(63, 136, 125, 0.3)',
    '--mantine-color-anchor': '#84bab0',
    '--line': '#2d3735',
    '--ok': '#48c078',
    '--warn': '#f0b03f',
    '--bad': '#ff6b6b',
    '--bad-text': '#ff9a92',
    '--warn-text': '#f5c26b',
  },
});
