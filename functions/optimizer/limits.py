"""The fixed limits. Each is declared here once; the code, the API document and the page read it from here."""

MAX_UPLOAD_BYTES = 25 * 2**20
MAX_PIXELS = 50_000_000  # of a source and of a result: both are held in memory
MAX_FRAMES = 1_000
MAX_ANIMATION_PIXELS = 40_000_000  # of all frames of an animation together: each frame costs as much as a picture
MAX_SCANS = 64  # of a progressive JPEG; a photo has about 10, and each scan costs a pass over all pixels
MAX_METADATA_BYTES = 4 * 2**20  # of a file: EXIF, profile, texts, thumbnails, JPEG tables, and whatever decoders skip
MAX_SEGMENTS = 4_096  # of a JPEG; a photo has a few dozen. Pillow takes 2 seconds to read a million
MAX_FILL_BYTES = 2**16  # between the segments of a JPEG; Pillow reads these bytes one by one
MAX_CHUNKS = 16_384  # of a PNG or WebP, without those that hold pixels
MAX_PIXEL_CHUNKS = 2**18  # of a PNG; programs that write it as a stream cut it into thousands
FILES_PER_REQUEST = 20
IDS_PER_REQUEST = 100
MAX_BODY_BYTES = 64 * 2**10  # of a request to the API; images go to S3
UPLOAD_LINK_SECONDS = 5 * 60
DOWNLOAD_LINK_SECONDS = 10 * 60
WORKER_SECONDS = 20  # of wall-clock time to optimize one image; the gateway gives up after 29
WORKER_BYTES = 2_600 * 2**20  # of address space; 50 megapixels of RGBA with every step, to WebP, take 2,230 MB
