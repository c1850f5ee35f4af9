"""The fixed limits, declared once; the code, the API document and the page read them here."""

MAX_UPLOAD_BYTES = 25 * 2**20
MAX_PIXELS = 50_000_000  # of a source and of a result: both are held in memory
MAX_FRAMES = 1_000
MAX_ANIMATION_PIXELS = 40_000_000  # of all frames of an animation together: each costs what a picture does
MAX_SCANS = 64  # of a progressive JPEG; a photo has about 10, and each costs a pass over all pixels
MAX_METADATA_BYTES = 4 * 2**20  # of a file: EXIF, profile, texts, thumbnails, whatever decoders skip, tables of JPEG
MAX_SEGMENTS = 4_096  # of a JPEG; a photo has tens. Pillow takes 2 seconds for a million
MAX_FILL_BYTES = 2**16  # between the segments of a JPEG, which Pillow reads one by one
MAX_CHUNKS = 16_384  # of a PNG or WebP beside those that hold pixels
MAX_PIXEL_CHUNKS = 2**18  # of a PNG; writers that stream cut it into thousands
FILES_PER_REQUEST = 20
IDS_PER_REQUEST = 100
MAX_BODY_BYTES = 64 * 2**10  # of a request to the API; images go to S3
UPLOAD_LINK_SECONDS = 5 * 60
DOWNLOAD_LINK_SECONDS = 10 * 60
WORKER_SECONDS = 20  # of wall clock from bytes to bytes; the gateway gives up after 29
WORKER_BYTES = 2_600 * 2**20  # of address space; 50 megapixels of RGBA with every step, to WebP, take 2,230
